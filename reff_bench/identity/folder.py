"""Any folder of images with masks, its labels in a table or in sub-folders."""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reff_bench.identity.tree import DataError, Tree, TreePart, check_once, identify
from texturedmnist.common.text import shown, unknown

TABLE = "metadata.csv"
SPLITS = ("train", "val", "test")
IMAGES, MASKS = "images", "masks"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
COLUMNS = {  # of a table -> the names that it may have there
    "image": ("image", "file_name", "filename"),
    "label": ("label", "y", "class"),
    "mask": ("mask", "mask_file_name", "mask_filename"),
    "split": ("split",),
    "group": ("group",),
}
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}  # of each class, without splits
TASK = "label"


@dataclass(frozen=True, slots=True)
class Row:
    """One image: files, names of class, split and group, empty where there is none.

    `place`: where it is listed, and in which line from 1.
    """

    image: Path
    label: str
    mask: Path | None
    split: str
    group: str
    place: tuple[Path, int]


def read_folder(root: Path) -> Tree:
    """Read a folder of images in one of three layouts.

    - `metadata.csv`, a row an image: `image` (a path in the folder), `label`, and where
      there are any `mask`, `split` (train, val or test) and `group`;
    - `train/metadata.csv`, `val/metadata.csv`, `test/metadata.csv`, likewise, as
      Hugging Face's `imagefolder` and our own export have them;
    - `images/train/CLASS/NAME.png` and `masks/train/CLASS/NAME.png`, or, without
      splits, `images/CLASS/NAME.png` and `masks/CLASS/NAME.png`.

    Without splits, 70, 15 and 15 per cent of each class are for training, validation
    and test, by a hash of the files' names: the same for every run. Classes and groups
    are numbered in the order of their names, numbers by their size.

    Raises:
        DataError: something is missing or contradicts itself; names the line.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}; give the folder of the images as data.root")
    tables, rows = _read_rows(root)
    check_once((str(row.image), *row.place) for row in rows)
    if not any(row.split for row in rows):
        rows = _split(rows, root)
    classes, groups = (
        _names(getattr(row, name) for row in rows) for name in ("label", "group")
    )
    parts = {
        split: _part([row for row in rows if row.split == split], classes, groups)
        for split in SPLITS
    }
    for split, part in parts.items():
        if not part.images:
            raise DataError(f"{root} has no images of the split {split}")
    identity = identify("folder", root, tables, parts.values())
    return Tree({TASK: classes}, parts, identity, groups if groups != ("",) else None)


def _read_rows(root: Path) -> tuple[list[Path], list[Row]]:
    """Return the tables and what they list, or what lies in the sub-folders."""
    tables = [
        path
        for path in (root / TABLE, *(root / split / TABLE for split in SPLITS))
        if path.is_file()
    ]
    if tables and tables[0] == root / TABLE:
        tables = tables[:1]
    if tables:
        return tables, [row for path in tables for row in _read_table(path, root)]
    rows = list(_walk(root))
    if not rows:
        raise DataError(
            f"{root} has neither {TABLE} nor images/CLASS/NAME.png: a row an image "
            "with image, label and, where there are any, mask, split and group"
        )
    return [], rows


def _read_table(path: Path, root: Path) -> Iterator[Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} isn't UTF-8; save it as UTF-8") from None
    lines = _rows(path, text)
    found = _find_columns(path, next(lines, []))
    for number, values in enumerate(lines, 2):
        if not any(values):
            continue
        given = {
            name: values[at].strip() for name, at in found.items() if at < len(values)
        }
        yield _row(path, number, given, root)


def _rows(path: Path, text: str) -> Iterator[list[str]]:
    lines = csv.reader(text.splitlines())
    try:
        yield from lines
    except csv.Error as error:  # a value of 100 kB
        raise DataError(f"{path}, line {lines.line_num}: {error}") from None


def _find_columns(path: Path, header: Sequence[str]) -> dict[str, int]:
    names = [name.strip() for name in header]
    found = {}
    for column, known in COLUMNS.items():
        at = [names.index(name) for name in known if name in names]
        if at:
            found[column] = at[0]
        elif column in ("image", "label"):
            raise DataError(
                f"{path}, line 1: there is no column {column!r} (it may be called "
                f"{', '.join(known)}); the columns are {shown(names)}"
            )
    return found


def _row(path: Path, number: int, given: dict[str, str], root: Path) -> Row:
    where = f"{path}, line {number}"
    for name in ("image", "label"):
        if not given.get(name):
            raise DataError(f"{where}: {name} is empty")
    split = given.get("split") or ("" if path.parent == root else path.parent.name)
    if split and split not in SPLITS:
        raise DataError(f"{where}: {unknown('split', split, SPLITS)}")
    mask = given.get("mask")
    return Row(
        _find(path.parent, given["image"], root, where),
        given["label"],
        _find(path.parent, mask, root, where) if mask else None,
        split,
        given.get("group", ""),
        (path, number),
    )


def _find(folder: Path, name: str, root: Path, where: str) -> Path:
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(root.resolve())
        there = path.is_file()
    except (OSError, RuntimeError, ValueError):  # no file's name, or links in a circle
        inside, there = True, False
    if not inside:
        raise DataError(f"{where}: {shown(name)} lies outside {root}")
    if not there:
        raise DataError(f"{where}: there is no file {shown(name)} in {folder}")
    return path


def _walk(root: Path) -> Iterator[Row]:
    """Yield what lies in `images/[SPLIT/]CLASS/`, with the mask of the same name."""
    images = root / IMAGES
    for path in sorted(images.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        folders = path.relative_to(images).parts[:-1]
        split = folders[0] if len(folders) == 2 and folders[0] in SPLITS else ""
        if len(folders) != 1 + bool(split):
            raise DataError(
                f"{path} lies neither in images/CLASS nor in images/SPLIT/CLASS, with "
                f"SPLIT one of {', '.join(SPLITS)}"
            )
        beside = root / MASKS / path.relative_to(images).with_suffix(".png")
        mask = beside if beside.is_file() else None
        yield Row(path, folders[-1], mask, split, "", (path, 1))


def _split(rows: Iterable[Row], root: Path) -> list[Row]:
    """Give each class's images to the splits, in the order of a hash of their names."""
    by_class: dict[str, list[Row]] = {}
    for row in rows:
        by_class.setdefault(row.label, []).append(row)
    done = []
    for members in by_class.values():
        ordered = sorted(members, key=lambda row: _hash(row.image.relative_to(root)))
        first = round(SHARES["train"] * len(ordered))
        second = round((SHARES["train"] + SHARES["val"]) * len(ordered))
        for number, row in enumerate(ordered):
            split = SPLITS[(number >= first) + (number >= second)]
            done.append(replace(row, split=split))
    return sorted(done, key=lambda row: row.image)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.as_posix().encode(errors="surrogateescape")).hexdigest()


def _names(names: Iterable[str]) -> tuple[str, ...]:
    distinct = set(names)
    if all(name.isdecimal() and len(name) < 20 for name in distinct):
        return tuple(sorted(distinct, key=int))
    return tuple(sorted(distinct))


def _part(
    rows: Sequence[Row], classes: Sequence[str], groups: Sequence[str]
) -> TreePart:
    labels = tuple(classes.index(row.label) for row in rows)
    numbers = tuple(groups.index(row.group) for row in rows)
    return TreePart(
        tuple(row.image for row in rows),
        tuple(row.mask for row in rows),
        {TASK: labels},
        None if tuple(groups) == ("",) else numbers,
    )
