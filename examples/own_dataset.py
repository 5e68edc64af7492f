"""A dataset of one's own: Waterbirds-like folders, a CSV beside them.

A grid names it as `data: {kind: own_dataset:birds, root: FOLDER, image_size: 96}`. The
folder holds `birds.csv` with the columns file, bird, water and split (train, val or
test), the images, and for each image `masks/FILE.png`, two values, the bird's larger.
"""

import csv
from pathlib import Path

from reff_bench import Tree, TreePart

BIRDS = ("landbird", "waterbird")
GROUPS = tuple(f"{bird} on {place}" for bird in BIRDS for place in ("land", "water"))


def birds(root: Path) -> Tree:
    """Return what lies in the folder; the groups are bird and place."""
    with (root / "birds.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    splits = ("train", "val", "test")
    parts = {name: _part(root, rows, name) for name in splits}
    return Tree(classes={"bird": BIRDS}, parts=parts, groups=GROUPS)


def _part(root: Path, rows: list[dict[str, str]], split: str) -> TreePart:
    mine = [row for row in rows if row["split"] == split]
    labels = tuple(BIRDS.index(row["bird"]) for row in mine)
    masks = [root / "masks" / f"{row['file']}.png" for row in mine]
    return TreePart(
        images=tuple(root / row["file"] for row in mine),
        masks=tuple(path if path.is_file() else None for path in masks),
        labels={"bird": labels},
        groups=tuple(
            2 * int(row["bird"] == BIRDS[1]) + int(row["water"]) for row in mine
        ),
    )
