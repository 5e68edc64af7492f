"""The script that one would write for the job: PIL, one process, gzip HDF5.

It reads `digits.npy` (n, 28, 28) and `labels.npy` (n,), both uint8, and two folders of
JPEGs with one sub-folder per class, `digit_textures` and `background_textures`.
"""

import sys
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

Rng = np.random.Generator
Files = list[list[Path]]


def list_files(folder: Path) -> Files:
    """List the images of each class, classes sorted."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    return [sorted(path.glob("*.jpg")) for path in classes]


def choose_file(files: Files, assigned: range, randomness: float, rng: Rng) -> Path:
    """Draw a class, from all or from the assigned ones, then one of its images."""
    allowed = range(len(files)) if rng.random() < randomness else assigned
    images = files[allowed[rng.integers(len(allowed))]]
    return images[rng.integers(len(images))]


def random_crop(path: Path, size: int, rng: Rng) -> Image.Image:
    """Cut a random square of `size` px out of an image, enlarged first if small."""
    with Image.open(path) as file:
        image: Image.Image = file
        if min(image.size) < size:
            scale = size / min(image.size)
            width, height = (max(size, round(side * scale)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        left = int(rng.integers(image.width - size + 1))
        top = int(rng.integers(image.height - size + 1))
        return image.crop((left, top, left + size, top + size)).convert("RGB")


def generate(
    inputs: Path, out: Path, samples: int, size: int, bg: float, tex: float
) -> None:
    """Write `samples` images and masks of `size` px to one HDF5 file."""
    rng = np.random.default_rng(0)
    digits, labels = np.load(inputs / "digits.npy"), np.load(inputs / "labels.npy")
    inside = list_files(inputs / "digit_textures")
    outside = list_files(inputs / "background_textures")
    shape = (samples, size, size)
    with h5py.File(out, "w") as file:
        images, masks = (
            file.create_dataset(
                name,
                (*shape, *channels),
                "u1",
                chunks=(1, size, size, *channels),
                compression="gzip",
                compression_opts=4,
            )
            for name, channels in (("image", [3]), ("mask", []))
        )
        file["label"] = labels[np.arange(samples) % len(labels)]
        for k in range(samples):
            label = int(labels[k % len(labels)])
            digit = Image.fromarray(digits[k % len(digits)])
            digit = digit.resize((size, size), Image.Resampling.BILINEAR)
            mask = digit.point([0] * 128 + [255] * 128)
            texture = choose_file(inside, range(label, label + 1), tex, rng)
            assigned = range(label, len(outside), 10)
            background = choose_file(outside, assigned, bg, rng)
            images[k] = np.asarray(
                Image.composite(
                    random_crop(texture, size, rng),
                    random_crop(background, size, rng),
                    mask,
                )
            )
            masks[k] = np.asarray(mask) // 255


if __name__ == "__main__":
    folder, target, count, side, bg_knob, tex_knob = sys.argv[1:]
    generate(
        Path(folder),
        Path(target),
        int(count),
        int(side),
        float(bg_knob),
        float(tex_knob),
    )
