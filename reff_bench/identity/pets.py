"""The official tree of Oxford-IIIT Pet: `read_pets`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reff_bench.identity.tree import (
    DataError,
    Tree,
    TreePart,
    check_once,
    identify,
    list_files,
    pick_files,
    read_lines,
)
from texturedmnist.common.text import shown

FOLDER = "oxford-iiit-pet"
LISTS = ("trainval", "test")
SPECIES = ("cat", "dog")
REMEDY = (
    "say where the official Oxford-IIIT Pet files are (data.root, or --data-root DIR "
    f"with DIR/{FOLDER} in it): images/*.jpg, annotations/trimaps/*.png, "
    "annotations/trainval.txt, annotations/test.txt"
)
LINE = re.compile(r"(\S+)\s+([0-9]{1,9})\s+([0-9]{1,9})\s+[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of an official list; `line` counts from 1, `species` from 0."""

    line: int
    name: str
    breed: int
    species: int


def read_pets(root: Path) -> Tree:
    """Read both official lists and find their files.

    The official numbers of the breeds may have gaps: labels are their ranks.

    Raises:
        DataError: the tree isn't there, is incomplete or contradicts itself.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}; {REMEDY}")
    lists = {part: root / "annotations" / f"{part}.txt" for part in LISTS}
    entries = {part: _read_list(path) for part, path in lists.items()}
    check_once(
        (one.name, lists[part], one.line) for part in LISTS for one in entries[part]
    )
    every = [one for part in LISTS for one in entries[part]]
    breeds = {one.breed: one.name.rpartition("_")[0] for one in every}
    ranks = {breed: rank for rank, breed in enumerate(sorted(breeds))}
    parts = {part: _find_files(root, part, entries[part], ranks) for part in LISTS}
    names = tuple(breeds[breed] for breed in sorted(breeds))
    identity = identify("pets", root, [*lists.values()], parts.values())
    return Tree({"breed": names, "species": SPECIES}, parts, identity)


def _read_list(path: Path) -> list[_Entry]:
    entries = []
    for number, line in read_lines(path, REMEDY):
        match = LINE.fullmatch(line)
        if match is None:
            raise DataError(
                f"{path}, line {number}: {shown(line)} is not 'name class species "
                "breed' with three whole numbers, as in the official lists"
            )
        name, breed, species = match[1], int(match[2]), int(match[3])
        if breed < 1 or species not in (1, 2):
            raise DataError(
                f"{path}, line {number}: {shown(line)}: the class must be 1 or more "
                "and the species 1 (cat) or 2 (dog)"
            )
        entries.append(_Entry(number, name, breed, species - 1))
    return entries


def _find_files(
    root: Path, part: str, entries: Sequence[_Entry], ranks: Mapping[int, int]
) -> TreePart:
    images = list_files(root / "images", ".jpg", REMEDY)
    place = root / "annotations" / "trimaps"
    trimaps = list_files(place, ".png", REMEDY)
    names = [one.name for one in entries]
    if part == "trainval":
        pick_files(trimaps, names, "trimap", place)
    return TreePart(
        pick_files(images, names, "image", root / "images"),
        tuple(trimaps.get(name.lower()) for name in names),
        {
            "breed": tuple(ranks[one.breed] for one in entries),
            "species": tuple(one.species for one in entries),
        },
    )
