"""torchvision's v2 transforms, which need no adapter."""

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from texturedmnist import TexturedMNIST

TARGETS = ["mask", "label"]


def test_one_chain_moves_both_alike_and_scales_the_image_alone(folder: Path) -> None:
    chain = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomHorizontalFlip(0.5),
            v2.CenterCrop(20),
            v2.Resize(10, interpolation=v2.InterpolationMode.NEAREST),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    dataset = TexturedMNIST(folder, "val", TARGETS, transforms=chain)
    plain = TexturedMNIST(folder, "val", TARGETS)
    assert isinstance(dataset[5][0], tv_tensors.Image)
    assert isinstance(dataset[5][1][0], tv_tensors.Mask)
    torch.manual_seed(0)
    images, (masks, labels) = next(iter(DataLoader(dataset, batch_size=20)))
    assert (images.dtype, masks.dtype) == (torch.float32, torch.uint8)
    assert labels.tolist() == dataset.targets[:20].tolist()
    pixels = (images * 255).round().permute(0, 2, 3, 1).numpy()
    flips = 0
    for index in range(20):
        image, (mask, _) = plain[index]
        image, mask = (np.asarray(one)[4:24, 4:24] for one in (image, mask))
        flipped = not np.array_equal(pixels[index], image[::2, ::2])
        if flipped:
            image, mask = image[:, ::-1], mask[:, ::-1]
        assert np.array_equal(pixels[index], image[::2, ::2])
        assert np.array_equal(masks[index], mask[::2, ::2])
        flips += flipped
    assert 0 < flips < 20
