"""Pretrain a small network to name the background texture, for `weights: FILE`.

python examples/pretrain_on_textures.py textures.pt --data-root data

The task is neutral: background, digit and digit texture are drawn independently
(bg = tex = 1), so nothing tells the network which of them a later label goes with.
"""

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from reff_bench import build_backbone
from texturedmnist import Recipe, TexturedMNIST

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def pretrain(data: TexturedMNIST, epochs: int, batch_size: int = 64) -> nn.Module:
    """Return a network that names the background of 32 px images."""
    classes = len(data.background_texture_classes)
    network = build_backbone("resnet_small", classes, seed=0)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    textures = torch.from_numpy(data.columns["background_texture"].astype("int64"))
    draws = torch.Generator().manual_seed(0)
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(data), generator=draws)
        right = 0
        for rows in torch.split(order, batch_size):
            pixels, _, _ = data.read(rows.numpy())
            image = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
            logits = network((image - MEAN) / STD).logits
            loss = F.cross_entropy(logits, textures[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right += int((logits.argmax(1) == textures[rows]).sum())
        print(f"epoch {epoch}: {right / len(data):.1%} of the training images right")
    return network


def main() -> None:
    """Pretrain and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--embedded", action="store_true", help="no files needed")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--instances", type=int, default=120, help="of each texture")
    args = parser.parse_args()
    recipe = Recipe(
        bg=1.0,
        tex=1.0,
        digits="embedded" if args.embedded else "mnist",
        digit_textures="embedded" if args.embedded else "dtd",
        background_textures="embedded",
        embedded_instances=args.instances,
        image_size=32,
        train=args.images,
        seed=11,
    )
    data = TexturedMNIST.from_recipe(recipe, "train", data_root=args.data_root)
    network = pretrain(data, args.epochs)
    torch.save(network.state_dict(), args.out)


if __name__ == "__main__":
    main()
