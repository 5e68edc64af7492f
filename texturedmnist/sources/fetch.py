"""Download MNIST or DTD with torchvision's own, checksummed code."""

import io
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr
from http.client import HTTPException
from pathlib import Path

from texturedmnist.common.shadows import name_shadow
from texturedmnist.recipe import DTD_CLASSES
from texturedmnist.sources.digits import find_mnist, load_digits, mnist_folder
from texturedmnist.sources.errors import SourceError
from texturedmnist.sources.folders import dtd_folder, list_subfolders

DOWNLOADS = ("mnist", "dtd")


def is_there(name: str, data_root: Path) -> bool:
    """Say whether all of MNIST's files, or a folder of DTD's images, are there."""
    if name == "mnist":
        return None not in find_mnist(mnist_folder(data_root)).values()
    return (dtd_folder(data_root) / "images").is_dir()


def download(name: str, data_root: Path) -> None:
    """Fetch a dataset into torchvision's layout, unless it is there.

    All is fetched to a temporary folder in `data_root` and put in place when it is
    whole. No file that is there is overwritten.

    Args:
        name: `mnist` or `dtd`.
        data_root: made if absent.

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
