"""Tiny fake MNIST and texture trees, made by code, and what spoils files."""

import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from texturedmnist.manifest import MANIFEST_NAME

EMBEDDED: dict[str, Any] = dict.fromkeys(
    ("digits", "digit_textures", "background_textures"), "embedded"
)
REAL_DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_real_data = pytest.mark.skipif(
    not REAL_DATA.is_dir(), reason=f"no real data in {REAL_DATA}"
)


def idx(array: NDArray[np.uint8]) -> bytes:
    """Return an idx file of a (N,) or (N, H, W) uint8 array."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return (2048 + array.ndim).to_bytes(4, "big") + sizes + array.tobytes()


def write_mnist(
    root: Path, train: int = 60, test: int = 20, *, gz: bool = True
) -> dict[str, str]:
    """Write four idx files in torchvision's layout; return the md5 of each.

    Digit i of a file has label i % 10 and a bright bar whose place tells it apart.
    """
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    md5 = {}
    for prefix, count in (("train", train), ("t10k", test)):
        images = np.zeros((count, 28, 28), np.uint8)
        for number in range(count):
            images[number, 4 + number % 18 : 8 + number % 18, 4:24] = 255 - number % 50
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            name = f"{prefix}-{kind}-ubyte" + (".gz" if gz else "")
            data = gzip.compress(idx(array), mtime=0) if gz else idx(array)
            (folder / name).write_bytes(data)
            md5[name] = hashlib.md5(data).hexdigest()
    return md5


def write_textures(
    folder: Path,
    classes: Sequence[str],
    files_per_class: int = 3,
    size: tuple[int, int] = (40, 36),
    suffix: str = ".png",
) -> None:
    """Write a folder of images per class; size is (height, width) in px.

    Every image is noise around a color of its own.
    """
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file in range(files_per_class):
            rng = np.random.default_rng([number, file])
            pixels = rng.integers(0, 64, (*size, 3)) + rng.integers(0, 192, 3)
            path = folder / name / f"{name}_{file:04d}{suffix}"
            Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_dtd(
    root: Path,
    classes: Sequence[str],
    files_per_class: int = 3,
    size: tuple[int, int] = (40, 36),
    *,
    labels: bool = False,
) -> Path:
    """Write a DTD in torchvision's layout; return the folder of images and labels.

    With `labels`, the ten partitions deal the files in turn to train, val and test.
    """
    base = root / "dtd" / "dtd"
    write_textures(base / "images", classes, files_per_class, size, ".jpg")
    if labels:
        (base / "labels").mkdir()
    for partition in range(1, 11 if labels else 1):
        for number, split in enumerate(("train", "val", "test")):
            lines = [
                f"{name}/{name}_{file:04d}.jpg\n"
                for name in classes
                for file in range(files_per_class)
                if (file + partition) % 3 == number
            ]
            path = base / "labels" / f"{split}{partition}.txt"
            path.write_text("".join(lines))
    return base


def flip(path: Path, place: int = -1) -> None:
    """Flip a bit of a file's byte."""
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)


def edit_manifest(
    folder: Path, change: Callable[[dict[str, Any]], object], *, seals: bool = False
) -> None:
    """Change the fields of a dataset's manifest.

    It is sealed with the digest of what it is now, or has none, as old ones had.
    """
    path = folder / MANIFEST_NAME
    fields = json.loads(path.read_text())
    fields.pop("digest", None)
    change(fields)
    if seals:
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        fields["digest"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(fields))
