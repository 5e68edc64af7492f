"""torchvision's v2 transforms, which need no adapter."""

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from texturedmnist import TexturedMNIST

TARGETS = ["mask", "label"]


def test_to_image_makes_both_tensors_of_torchvision(folder: Path) -> None:
    dataset = TexturedMNIST(folder, "val", TARGETS, transforms=v2.ToImage())
    plain = TexturedMNIST(folder, "val", TARGETS)
    image, (mask, label) = dataset[5]
    assert isinstance(image, tv_tensors.Image)
    assert isinstance(mask, tv_tensors.Mask)
    pixels = np.asarray(plain[5][0])
    assert np.array_equal(image.permute(1, 2, 0).numpy(), pixels)
    assert torch.equal(mask, plain[5][1][0])
    assert label == plain[5][1][1]


def test_one_chain_moves_both_and_scales_the_image_alone(folder: Path) -> None:
    chain = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomHorizontalFlip(1.0),
            v2.CenterCrop(20),
            v2.Resize(10, interpolation=v2.InterpolationMode.NEAREST),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    dataset = TexturedMNIST(folder, "val", TARGETS, transforms=chain)
    plain = TexturedMNIST(folder, "val", TARGETS)
    for index in range(20):
        image, (mask, _) = dataset[index]
        pixels, own = np.asarray(plain[index][0]), plain[index][1][0].numpy()
        turned, cut = own[:, ::-1][4:24, 4:24], pixels[:, ::-1][4:24, 4:24]
        assert mask.dtype == torch.uint8
        assert np.array_equal(mask.numpy(), turned[::2, ::2])
        assert torch.equal(
            (image * 255).round().to(torch.uint8).permute(1, 2, 0),
            torch.from_numpy(cut[::2, ::2].copy()),
        )


def test_batches_of_images_and_masks_collate(folder: Path) -> None:
    chain = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    dataset = TexturedMNIST(folder, "val", TARGETS, transforms=chain)
    images, (masks, labels) = next(iter(DataLoader(dataset, batch_size=6)))
    assert (tuple(images.shape), images.dtype) == ((6, 3, 28, 28), torch.float32)
    assert (tuple(masks.shape), masks.dtype) == ((6, 28, 28), torch.uint8)
    assert labels.tolist() == dataset.targets[:6].tolist()
