"""WILDS: batches uniform over groups in training, accuracy by group in the end.

python examples/group_eval_wilds.py FOLDER
"""

import sys

import torch
from torch import nn
from torchvision.transforms import v2
from wilds.common.data_loaders import get_eval_loader, get_train_loader
from wilds.common.grouper import CombinatorialGrouper

from texturedmnist.interop import wilds_dataset

TRANSFORM = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


def main(folder: str) -> None:
    """Train for an epoch, then print WILDS' own report."""
    torch.manual_seed(0)
    dataset = wilds_dataset(folder)
    # In the order of dataset.metadata_fields: WILDS mixes up names in another.
    grouper = CombinatorialGrouper(dataset, ["background_aligned", "y"])
    train = dataset.get_subset("train", transform=TRANSFORM)
    test = dataset.get_subset("test", transform=TRANSFORM)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 5, 2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 64, 5, 2), nn.BatchNorm2d(64), nn.ReLU(),
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(576, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    loader = get_train_loader(
        "standard", train, 50, uniform_over_groups=True, grouper=grouper
    )
    for images, labels, _ in loader:
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    outputs = []
    with torch.no_grad():
        for images, labels, metadata in get_eval_loader("standard", test, 50):
            outputs.append((model(images).argmax(1), labels, metadata))
    predicted, labels, metadata = map(torch.cat, zip(*outputs, strict=True))
    results, text = dataset.eval(predicted, labels, metadata)
    print(text)
    print(f"acc_wg {results['acc_wg']:.3f}")
    first = metadata[0, dataset.metadata_fields.index("index")]
    print(f"mask of the first test sample: {dataset.get_mask(first).mean():.1%}")


if __name__ == "__main__":
    main(sys.argv[1])
