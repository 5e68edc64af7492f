"""Which sources are found, under which license, and the download of MNIST and DTD."""

import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from texturedmnist.common.causes import name_shadow
from texturedmnist.recipe import DTD_CLASSES
from texturedmnist.sources.digits import (
    MNIST_FILES,
    find_mnist,
    load_digits,
    mnist_folder,
)
from texturedmnist.sources.errors import SourceError
from texturedmnist.sources.folders import IMAGE_SUFFIXES, dtd_folder, list_subfolders

DOWNLOADS = ("mnist", "dtd")


def is_there(name: str, data_root: Path) -> bool:
    """Say whether all of MNIST's files, or a folder of DTD's images, are there."""
    if name == "mnist":
        return None not in find_mnist(mnist_folder(data_root)).values()
    return (dtd_folder(data_root) / "images").is_dir()


def download(name: str, data_root: Path) -> None:
    """Fetch `mnist` or `dtd` into torchvision's layout, unless it is there.

    All is fetched to a temporary folder in `data_root`, which is made if absent, and
    put in place when it is whole. No file that is there is overwritten.

    Raises:
        SourceError: unknown name, no connection, wrong checksum (of what is there too),
            an incomplete DTD in the way, or nothing can be written.
    """
    if name not in DOWNLOADS:
        raise SourceError(f"can't download {name!r}; known: {', '.join(DOWNLOADS)}")
    if is_there(name, data_root):
        _check_complete(name, data_root)
        return
    # torchvision, and with it torch, is loaded for a download alone.
    try:
        from torchvision import datasets
    except ImportError as error:
        raise SourceError(
            f"can't download {name} without torchvision: {error}"
            f"{name_shadow('torchvision')}"
        ) from None

    dataset = {"mnist": datasets.MNIST, "dtd": datasets.DTD}[name]
    urls = [dataset._URL] if name == "dtd" else dataset.mirrors
    try:
        data_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=data_root) as folder:
            _fetch(dataset, folder)
            _put_in_place(name, Path(folder), data_root)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(
            f"can't download {name} from {', '.join(urls)} to {data_root}: {reason}; "
            "try again later, copy the files there yourself, or use --embedded"
        ) from None


def _check_complete(name: str, data_root: Path) -> None:
    if name == "mnist":
        load_digits("mnist", data_root)  # compares the md5 sums
        return
    folder = dtd_folder(data_root)
    absent = sorted(set(DTD_CLASSES) - set(list_subfolders(folder / "images")))
    if absent:
        raise SourceError(
            f"{folder / 'images'} lacks {len(absent)} of DTD's {len(DTD_CLASSES)} "
            f"classes ({', '.join(absent[:3])}, ...) and won't be overwritten: move "
            f"{folder.parent} away to download all of it"
        )


def _fetch(dataset: Callable[..., object], folder: str) -> None:
    terminal = sys.stderr.isatty()  # torchvision's bar is for nobody else
    shown = nullcontext() if terminal else redirect_stderr(io.StringIO())
    with shown, warnings.catch_warnings():
        # Python 3.12 warns of torchvision's unpacking without a filter.
        warnings.simplefilter("ignore", DeprecationWarning)
        dataset(folder, download=True)


def _put_in_place(name: str, fetched: Path, data_root: Path) -> None:
    if name == "dtd":
        target = dtd_folder(data_root)
        target.parent.mkdir(exist_ok=True)
        dtd_folder(fetched).rename(target)
        return
    target = mnist_folder(data_root)
    target.mkdir(parents=True, exist_ok=True)
    absent = {name for name, path in find_mnist(target).items() if path is None}
    for path in mnist_folder(fetched).iterdir():
        if path.name.removesuffix(".gz") in absent:
            path.rename(target / path.name)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source, in words; `available` if it can be used, at least in part."""

    name: str
    contents: str
    found: str
    available: bool
    obtain: str
    license: str


ALWAYS_THERE = (
    SourceRow(
        name="embedded digits",
        contents="digits: 1,797 handwritten, 8 x 8 enlarged to 28 x 28",
        found="always there (scikit-learn's digits)",
        available=True,
        obtain="--digits embedded",
        license="CC BY 4.0 (UCI Machine Learning Repository)",
    ),
    SourceRow(
        name="embedded textures",
        contents="textures: 47 procedural classes named after DTD's",
        found="always there (part of this package)",
        available=True,
        obtain="--textures embedded",
        license="MIT, as this package",
    ),
    SourceRow(
        name="a folder",
        contents="textures: one sub-folder of images per class",
        found="your own",
        available=True,
        obtain="--textures DIR",
        license="that of your images",
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
        license="CC BY-SA 3.0, as commonly stated",
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
        license="for research use only",
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
