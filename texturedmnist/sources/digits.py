"""Handwritten digits: MNIST's idx files, or scikit-learn's digits enlarged."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from texturedmnist.common.causes import name_shadow
from texturedmnist.draws import hash_order
from texturedmnist.sources.errors import WAYS_OUT, SourceError

# The .gz values are torchvision's; those of the plain files are of what they unpack to.
MNIST_MD5: Mapping[str, str] = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
MNIST_FILES = tuple(name for name in MNIST_MD5 if not name.endswith(".gz"))
IDX_MAGIC: Mapping[int, int] = {1: 2049, 3: 2051}  # by dimensions
MOST_BYTES = 64 << 20  # MNIST's largest file has 47 MB
REMEDY = "delete it and fetch it again (texturedmnist download mnist, or --download)"


@dataclass(frozen=True, slots=True)
class Digits:
    """Handwritten digits, all in memory.

    Attributes:
        images: (N, 28, 28) uint8 in [0, 255], bright digit on black.
        labels: (N,) uint8 in [0, 9].
        development: the first `development` digits are the pool of train and val, the
            others that of test.
        digest: sha256 (hex) of the arrays and `development`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    development: int
    digest: str


def load_digits(kind: str, data_root: Path) -> Digits:
    """Read all digits of a source.

    Args:
        kind: `mnist` (idx files under `data_root/MNIST/raw`, torchvision's layout; a
            plain file is read in preference to its `.gz`) or `embedded`.
        data_root: not looked at for `embedded`.

    Raises:
        SourceError: the kind is unknown, or a file is absent or damaged.
    """
    if kind == "mnist":
        return _load_mnist(mnist_folder(data_root))
    if kind == "embedded":
        return _load_embedded()
    raise SourceError(f"unknown digits {kind!r}; known: mnist, embedded")


def mnist_folder(data_root: Path) -> Path:
    """Return the folder of MNIST's idx files: torchvision's layout."""
    return data_root / "MNIST" / "raw"


def find_mnist(folder: Path) -> dict[str, Path | None]:
    """Return the path of each of MNIST's four files, plain before `.gz`, or None.

    Folders don't count (Kaggle's archive has one of each file's name), nor do empty
    files, as long as there is another.
    """
    return {name: _find_file(folder, name) for name in MNIST_FILES}


def _find_file(folder: Path, name: str) -> Path | None:
    files = [p for p in (folder / name, folder / f"{name}.gz") if p.is_file()]
    return next((p for p in files if p.stat().st_size), next(iter(files), None))


def _misplaced(folder: Path, absent: Sequence[str]) -> str:
    """Say which of the absent files are there under another name or one folder down."""
    for name in absent:
        other = name.replace("-idx", ".idx")
        for path in (folder / other, folder / name / name, folder / name / other):
            if path.is_file():
                return f"{path} must be {folder / name}: move it there; "
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_dir():
                return f"{path} is a folder, not that file; "
    return ""


def _load_mnist(folder: Path) -> Digits:
    found = find_mnist(folder)
    paths = [path for path in found.values() if path is not None]
    if len(paths) < len(found):
        absent = [name for name, path in found.items() if path is None]
        raise SourceError(
            f"MNIST is not in {folder}: missing {', '.join(absent)} (plain or .gz); "
            f"{_misplaced(folder, absent)}{WAYS_OUT}"
        )
    raw = [_read(path) for path in paths]
    arrays = [
        _parse_idx(path, _unpack(path, data))
        for path, data in zip(paths, raw, strict=True)
    ]
    for pair in (0, 2):
        _check_lengths(paths[pair : pair + 2], arrays[pair : pair + 2])
    for path, data in zip(paths, raw, strict=True):
        _check_md5(path, data)
    images, labels = np.concatenate(arrays[::2]), np.concatenate(arrays[1::2])
    return _digits(images, labels, len(arrays[0]))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return _bounded(path, stream)
    except OSError as error:
        raise SourceError(f"can't read {path}: {error.strerror}") from None


def _bounded(path: Path, stream: BinaryIO | gzip.GzipFile) -> bytes:
    """Read to the end, unless it is far beyond any file of MNIST's."""
    data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise SourceError(
            f"{path} holds more than {MOST_BYTES >> 20} MiB, so it isn't MNIST's; "
            f"{REMEDY}"
        )
    return data


def _unpack(path: Path, data: bytes) -> bytes:
    if path.suffix != ".gz":
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            return _bounded(path, stream)
    except EOFError:
        raise SourceError(f"{path} is truncated; {REMEDY}") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(
            f"{path} is not a sound gzip file: {error}; {REMEDY}"
        ) from None


def _parse_idx(path: Path, data: bytes) -> NDArray[np.uint8]:
    """Read an idx file: a magic number, the sizes, then one byte per value."""
    dimensions = 3 if "idx3" in path.name else 1
    header = np.frombuffer(data[: 4 + 4 * dimensions], dtype=np.uint8)
    if header.size < 4 + 4 * dimensions:
        raise SourceError(f"{path} is truncated: only {len(data)} bytes; {REMEDY}")
    magic, *shape = (int(number) for number in header.view(">u4"))
    if magic != IDX_MAGIC[dimensions]:
        raise SourceError(
            f"{path} has the wrong magic number {magic}, "
            f"not {IDX_MAGIC[dimensions]}: it is no such idx file; {REMEDY}"
        )
    values, expected = len(data) - header.size, int(np.prod(shape, dtype=object))
    if values != expected:
        what = "truncated" if values < expected else "too long"
        raise SourceError(
            f"{path} is {what}: {values} values for {expected} announced; {REMEDY}"
        )
    if dimensions == 3 and shape[1:] != [28, 28]:
        raise SourceError(
            f"{path} holds images of {shape[1]} x {shape[2]} px, not MNIST's of "
            f"28 x 28; {REMEDY}"
        )
    return np.frombuffer(data, dtype=np.uint8, offset=header.size).reshape(shape)


def _check_lengths(paths: list[Path], arrays: list[NDArray[np.uint8]]) -> None:
    images, labels = (len(array) for array in arrays)
    if images != labels:
        raise SourceError(
            f"{paths[0]} has {images} images but {paths[1]} has {labels} labels; "
            "both must be of one MNIST: delete the two and fetch them again "
            "(texturedmnist download mnist, or --download)"
        )


def _check_md5(path: Path, data: bytes) -> None:
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if md5 != MNIST_MD5[path.name]:
        raise SourceError(
            f"{path} is not MNIST's: its md5 is {md5}, not {MNIST_MD5[path.name]}; "
            f"{REMEDY}"
        )


def _load_embedded() -> Digits:
    rows = np.loadtxt(_bundled_file(), dtype=np.int64, delimiter=",")
    rows = rows[hash_order(0, "digit_partition", len(rows))]
    images = enlarge(rows[:, :-1].reshape(-1, 8, 8))
    labels = rows[:, -1].astype(np.uint8)
    return _digits(images, labels, len(labels) - len(labels) // 7)


def _bundled_file() -> Path:
    """Return what scikit-learn's `load_digits` reads, without its 2 s of imports."""
    package = find_spec("sklearn")
    folders = [] if package is None else package.submodule_search_locations or []
    for folder in folders:
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return path
    raise SourceError(
        "the embedded digits are scikit-learn's, and no scikit-learn with them is "
        "installed here: pip install scikit-learn, or use --digits mnist"
        f"{name_shadow('sklearn')}"
    )


def enlarge(small: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Enlarge digits to MNIST's format in exact integers.

    Three times bilinearly (half-pixel centers, black around), centerd in the 28 x 28
    square, so that a digit is 24 px high; then twice the contrast around half of 255,
    for edges as steep as MNIST's that cross the half at the same place.

    Args:
        small: (N, 8, 8) int64 in [0, 16].

    Returns:
        (N, 28, 28) uint8 in [0, 255].
    """
    centers, places = np.arange(8) * 3 + 3, np.arange(28)
    thirds = np.maximum(0, 3 - np.abs(places[:, None] - centers))
    large = thirds @ small @ thirds.T
    steep: NDArray[np.int64] = np.clip(2 * large - 72, 0, 144)
    return ((steep * 255 + 72) // 144).astype(np.uint8)


def _digits(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], development: int
) -> Digits:
    digest = hashlib.sha256(f"{images.shape} {development} ".encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(labels.data)
    return Digits(images, labels, development, digest.hexdigest())
