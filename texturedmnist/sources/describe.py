"""What sources there are, what of them is found, and under which license."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from texturedmnist.recipe import DTD_CLASSES
from texturedmnist.sources.digits import MNIST_FILES, find_mnist, mnist_folder
from texturedmnist.sources.folders import IMAGE_SUFFIXES, dtd_folder


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source, in words; `available` if it can be used, at least in part."""

    name: str
    contents: str
    found: str
    available: bool
    obtain: str
    licence: str


ALWAYS_THERE = (
    SourceRow(
        name="embedded digits",
        contents="digits: 1,797 handwritten, 8 x 8 enlarged to 28 x 28",
        found="always there (scikit-learn's digits)",
        available=True,
        obtain="--digits embedded",
        licence="CC BY 4.0 (UCI Machine Learning Repository)",
    ),
    SourceRow(
        name="embedded textures",
        contents="textures: 47 procedural classes named after DTD's",
        found="always there (part of this package)",
        available=True,
        obtain="--textures embedded",
        licence="MIT, as this package",
    ),
    SourceRow(
        name="a folder",
        contents="textures: one sub-folder of images per class",
        found="your own",
        available=True,
        obtain="--textures DIR",
        licence="that of your images",
    ),
)


def describe_sources(data_root: Path) -> tuple[SourceRow, ...]:
    """Look for every source, without reading any contents."""
    return _find_mnist(data_root), _find_dtd(data_root), *ALWAYS_THERE


def _find_mnist(data_root: Path) -> SourceRow:
    folder = mnist_folder(data_root)
    there = sum(path is not None for path in find_mnist(folder).values())
    found = str(folder) if there else f"not in {folder}"
    if 0 < there < len(MNIST_FILES):
        found = f"{folder}: only {there} of {len(MNIST_FILES)} files"
    return SourceRow(
        name="mnist",
        contents="digits: 70,000 handwritten, 28 x 28",
        found=found,
        available=there == len(MNIST_FILES),
        obtain="texturedmnist download mnist (12 MB), or --download",
        licence="CC BY-SA 3.0, as commonly stated",
    )


def _find_dtd(data_root: Path) -> SourceRow:
    images = dtd_folder(data_root) / "images"
    classes = [name for name in DTD_CLASSES if (images / name).is_dir()]
    found = f"{images}: {_count_dtd(data_root, classes)}"
    return SourceRow(
        name="dtd",
        contents="textures: 47 classes of 120 photographs",
        found=found if classes else f"not in {images}",
        available=bool(classes),
        obtain="texturedmnist download dtd (600 MB), or --download",
        licence="for research use only",
    )


def _count_dtd(data_root: Path, classes: Sequence[str]) -> str:
    folder = dtd_folder(data_root)
    count = sum(
        path.suffix.lower() in IMAGE_SUFFIXES
        for name in classes
        for path in (folder / "images" / name).iterdir()
    )
    labels = (folder / "labels").is_dir()
    split = "split by its labels" if labels else "no labels: split 8 : 1 : 3"
    return f"{len(classes)} of {len(DTD_CLASSES)} classes, {count} images, {split}"
