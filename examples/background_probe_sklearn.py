"""What a network keeps of the background: a linear probe on its features.

Two networks see the same digits at the same places. In the first one's environment the
background says the label, in the second one's it says nothing. A probe then predicts
the background's texture from the features of images that neither has seen.

python examples/background_probe_sklearn.py
"""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from texturedmnist import Recipe, TexturedMNIST, environments

RECIPE = Recipe(
    bg=1, tex=1, digits="embedded", digit_textures="embedded", seed=3,
    background_textures="embedded", image_size=32, train=600, val=200, test=400,
)  # fmt: skip
RANDOMNESS = [(0.0, 1.0), (1.0, 1.0)]


def tensors(dataset: TexturedMNIST) -> tuple[Tensor, Tensor]:
    """Return all images (N, 3, S, S) in [0, 1] and all labels."""
    images, _, labels = dataset.read(np.arange(len(dataset)))
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 255, torch.from_numpy(labels)


def train_features(images: Tensor, labels: Tensor) -> nn.Module:
    """Train a small network for some seconds; return it without its last layer."""
    torch.manual_seed(0)
    features = nn.Sequential(
        nn.Conv2d(3, 16, 5, 2), nn.ReLU(), nn.Conv2d(16, 32, 5, 2), nn.ReLU(),
        nn.AdaptiveMaxPool2d(3), nn.Flatten(), nn.Linear(288, 64), nn.ReLU(),
    )  # fmt: skip
    model = nn.Sequential(features, nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(8):
        for part in torch.randperm(len(images)).split(50):
            loss = nn.functional.cross_entropy(model(images[part]), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return features


def main() -> None:
    """Print how well each network's features tell the background's texture."""
    free = environments(RANDOMNESS[1:], "test", recipe=RECIPE)[0]
    images, _ = tensors(free)
    texture = free.columns["background_texture"]
    half = len(images) // 2
    for (bg, _), dataset in zip(
        RANDOMNESS, environments(RANDOMNESS, recipe=RECIPE), strict=True
    ):
        features = train_features(*tensors(dataset))
        with torch.no_grad():
            known = features(images).numpy()
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        probe.fit(known[:half], texture[:half])
        score = probe.score(known[half:], texture[half:])
        print(f"trained at bg = {bg:g}: the probe is right in {score:.1%}")
    print(f"chance: {1 / len(free.background_texture_classes):.1%}")


if __name__ == "__main__":
    main()
