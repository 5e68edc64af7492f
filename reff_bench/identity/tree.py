"""The files of an official tree, whatever the case of their names: `Tree`."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from texturedmnist.common.digest import json_digest
from texturedmnist.common.text import shown

Lines: TypeAlias = list[tuple[int, str]]  # number from 1, text


class DataError(ValueError):
    """Data that can't be used: says what was looked for, where, and what to do."""


@dataclass(frozen=True, slots=True)
class TreePart:
    """One split with its files, in the order of its list.

    Examples:
        >>> from pathlib import Path
        >>> from reff_bench import TreePart
        >>> part = TreePart(
        ...     images=(Path("a.jpg"), Path("b.jpg")),
        ...     masks=(Path("a.png"), None),
        ...     labels={"bird": (0, 1)},
        ... )
        >>> len(part.images), len(part.labels["bird"])
        (2, 2)

    Attributes:
        images: a file per image.
        masks: a file per image, None where there is none.
        labels: task -> a label per image, from 0.
        groups: a group per image, from 0; None: its class.
    """

    images: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    labels: Mapping[str, tuple[int, ...]]
    groups: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a dataset, read and checked; no image is decoded.

    Examples:
        >>> from pathlib import Path
        >>> from reff_bench import TreePart, Tree
        >>> part = TreePart((Path("a.jpg"),), (None,), {"bird": (0,)})
        >>> splits = {"train": part, "val": part, "test": part}
        >>> tree = Tree({"bird": ("landbird", "waterbird")}, splits)
        >>> len(tree.parts), len(tree.classes["bird"])
        (3, 2)

    Attributes:
        classes: task -> names of the classes by label.
        parts: `train` and `val`, or `trainval` for both, and `test`.
        identity: sha256 (hex) of what is read: the lists' content, the names and sizes
            of the images and masks. Other files in the folder don't matter. Empty: it
            is made of labels, names and sizes.
        groups: names of the groups by number; None: they are the classes.
    """

    classes: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, TreePart]
    identity: str = ""
    groups: tuple[str, ...] | None = None


def check_tree(tree: object, dataset: str, root: Path) -> Tree:
    """Return a tree that a user's own function has read, its identity filled in.

    Raises:
        DataError: it is no tree, or its lists don't fit each other.
    """
    if not isinstance(tree, Tree):
        raise DataError(
            f"{dataset} gave a {type(tree).__name__}; it should be a "
            "reff_bench.identity.Tree"
        )
    if set(tree.parts) not in ({"train", "val", "test"}, {"trainval", "test"}):
        raise DataError(
            f"{dataset} has the parts {', '.join(tree.parts)}; they should be train, "
            "val and test, or trainval and test"
        )
    for name, part in tree.parts.items():
        _check_part(part, tree, f"{dataset}, {name}")
    if tree.identity:
        return tree
    identity = identify(dataset, root, (), tree.parts.values())
    known = [[part.labels, part.groups] for part in tree.parts.values()]
    return replace(tree, identity=json_digest([identity, known]))


def _check_part(part: TreePart, tree: Tree, where: str) -> None:
    lengths = {"images": len(part.images), "masks": len(part.masks)}
    lengths |= {f"labels of {task}": len(part.labels[task]) for task in part.labels}
    if part.groups is not None:
        lengths["groups"] = len(part.groups)
    if len(set(lengths.values())) > 1 or not part.images:
        counts = ", ".join(f"{number} {what}" for what, number in lengths.items())
        raise DataError(f"{where}: {counts}; there should be as many of each, and some")
    for task, names in tree.classes.items():
        _check_numbers(part.labels.get(task), len(names), f"{where}: labels of {task}")
    if tree.groups is not None:
        _check_numbers(part.groups, len(tree.groups), f"{where}: groups")
    for file in (*part.images, *part.masks):
        if file is not None and not file.is_file():
            raise DataError(f"{where}: there is no file {file}")


def _check_numbers(numbers: Sequence[int] | None, count: int, what: str) -> None:
    if numbers is None or not all(0 <= number < count for number in numbers):
        raise DataError(f"{what}: each image needs one in 0 to {count - 1}")


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
            f"first is {shown(missing[0])}; unpack the official archive there again"
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

    A place is the name of the image, the list, and the line from 1.

    Raises:
        DataError: names both lines.
    """
    seen: dict[str, tuple[Path, int]] = {}
    for name, path, line in places:
        first = seen.setdefault(name.lower(), (path, line))
        if first != (path, line):
            raise DataError(
                f"{path}, line {line}: {shown(name)} is in {first[0].name}, line "
                f"{first[1]}, already; an image has one label and is in one split: "
                "remove a line"
            )


def identify(
    dataset: str, root: Path, lists: Sequence[Path], parts: Iterable[TreePart]
) -> str:
    """Return the sha256 (hex) of what is read of a tree.

    That is the content of its lists, and the names of the files below its root with
    their sizes in bytes.
    """
    digest = hashlib.sha256(f"{dataset}, as read\n".encode())
    for path in lists:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for part in parts:
        for file in (*part.images, *part.masks):
            size = "" if file is None else file.stat().st_size
            name = "" if file is None else _below(file, root)
            digest.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _below(file: Path, root: Path) -> str:
    """Return a file's name below a folder; one elsewhere keeps its whole path."""
    inside = file.is_relative_to(root)
    return (file.relative_to(root) if inside else file).as_posix()
