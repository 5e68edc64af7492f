"""The files of an official tree, whatever the case of their names: `Tree`."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from reff_bench.identity.errors import DataError

Lines: TypeAlias = list[tuple[int, str]]  # number from 1, text


@dataclass(frozen=True, slots=True)
class Part:
    """One official list with its files, in the order of the list.

    Attributes:
        images: a file per image.
        masks: a file per image, None where there is none.
        labels: task -> a label per image.
    """

    images: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    labels: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Tree:
    """An official tree, read and checked; no image is decoded.

    Attributes:
        classes: task -> names of the classes by label.
        parts: name of a list -> what it names.
        identity: sha256 (hex) of what is read: the lists' content, the names and sizes
            of the images and masks. Other files in the folder don't matter.
    """

    classes: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, Part]
    identity: str


def list_files(folder: Path, suffix: str, remedy: str) -> dict[str, Path]:
    """Return the files whose name ends in `suffix`, by the rest of their name.

    Upper and lower case are one: `ISIC_0000000_Segmentation.PNG` is there under
    `isic_0000000` for the suffix `_segmentation.png`. Hidden files don't count.

    Raises:
        DataError: there is no such folder, or two files differ in case alone.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}; {remedy}")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        if not name.endswith(suffix) or name.startswith(".") or not path.is_file():
            continue
        other = found.setdefault(name.removesuffix(suffix), path)
        if other is not path:
            raise DataError(
                f"{folder} has both {other.name} and {path.name}, whose names differ "
                "in case alone; remove one of the two"
            )
    return found


def pick_files(
    files: Mapping[str, Path], names: Iterable[str], what: str, place: Path
) -> tuple[Path, ...]:
    """Return the file of each name.

    Raises:
        DataError: one is missing; says which and how many.
    """
    wanted = list(names)
    missing = [name for name in wanted if name.lower() not in files]
    if missing:
        raise DataError(
            f"{place} lacks the {what} of {len(missing)} of {len(wanted)} images, the "
            f"first is {missing[0]}; unpack the official archive there again"
        )
    return tuple(files[name.lower()] for name in wanted)


def read_lines(path: Path, remedy: str) -> Lines:
    """Return the lines of a list that aren't empty or a comment, with their numbers.

    Raises:
        DataError: there is no such file, it isn't UTF-8, or there is nothing in it.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is no regular file; {remedy}")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}; {remedy}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: the text isn't UTF-8 (byte "
            f"0x{error.object[error.start]:02x}); save the list as UTF-8"
        ) from None
    lines = enumerate((line.strip() for line in text.splitlines()), 1)
    kept = [(n, line) for n, line in lines if line and not line.startswith("#")]
    if not kept:
        raise DataError(f"{path} is empty; {remedy}")
    return kept


def check_once(places: Iterable[tuple[str, Path, int]]) -> None:
    """Refuse an image that is listed twice, in one list or in two.

    Args:
        places: (name of the image, list, line from 1) of every line.

    Raises:
        DataError: names both lines.
    """
    seen: dict[str, tuple[Path, int]] = {}
    for name, path, line in places:
        first = seen.setdefault(name.lower(), (path, line))
        if first != (path, line):
            raise DataError(
                f"{path}, line {line}: {name} is in {first[0].name}, line {first[1]}, "
                "already; an image has one label and is in one split: remove a line"
            )


def identify(
    dataset: str, root: Path, lists: Sequence[Path], parts: Iterable[Part]
) -> str:
    """Return the sha256 (hex) of what is read of a tree.

    Args:
        dataset: its name.
        root: of the tree.
        lists: whose content counts.
        parts: whose files count by their names below the root and their sizes in bytes.
    """
    digest = hashlib.sha256(f"{dataset}, as read\n".encode())
    for path in lists:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for part in parts:
        for file in (*part.images, *part.masks):
            size = "" if file is None else file.stat().st_size
            name = "" if file is None else file.relative_to(root).as_posix()
            digest.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def shown(line: str) -> str:
    """Return a line of a list as an error shows it: quoted, and not too long."""
    return repr(line if len(line) <= 100 else f"{line[:100]}...")
