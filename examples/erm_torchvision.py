"""ERM in plain PyTorch: a small network, and how it does with other backgrounds.

python examples/erm_torchvision.py FOLDER
"""

import sys
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from texturedmnist import TexturedMNIST

EPOCHS = 3
# One chain for image and mask: ToImage makes the image a tensor of torchvision's, crops
# move both alike, and only the image is scaled to [0, 1].
TRANSFORMS = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


def load(folder: str, split: str) -> DataLoader[Any]:
    """Return batches of images (N, 3, S, S), masks, labels and aligned flags."""
    targets = ["mask", "label", "background_aligned"]
    dataset = TexturedMNIST(folder, split, targets, transforms=TRANSFORMS)
    return DataLoader(dataset, batch_size=50, shuffle=split == "train")


def main(folder: str) -> None:
    """Train, then print the accuracy with and without the familiar background."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 5, 2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 64, 5, 2), nn.BatchNorm2d(64), nn.ReLU(),
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(576, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(EPOCHS):
        for images, (_, labels, _) in load(folder, "train"):
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.2f}")
    right, aligned = [], []
    with torch.no_grad():
        for images, (_, labels, flags) in load(folder, "test"):
            right.append(model(images).argmax(1) == labels)
            aligned.append(flags == 1)
    hits, familiar = torch.cat(right).float(), torch.cat(aligned)
    print(f"test accuracy: {hits.mean():.3f}")
    print(f"  on a background of the digit's own: {hits[familiar].mean():.3f}")
    print(f"  on another digit's background: {hits[~familiar].mean():.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
