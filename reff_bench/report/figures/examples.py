"""The same test images under several runs: which, and what can't be shown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reff_bench.report.figures.figure import Row
from reff_bench.report.figures.runs import Arrays, RunSet, first_done
from reff_bench.report.figures.tiles import (
    energy_in,
    heat_tile,
    image_tile,
    mask_tile,
    outlined,
    overlap,
)
from reff_bench.results.folder import RunRecord
from texturedmnist.common.text import printable

SHORT = 6  # letters of a class name that fit beside a number
UNMASKED = "no mask"
WIDE = 14  # letters that fit above a tile


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row that a figure should have: its name in words, and the label beside it.

    One of `rows` stands for it, if its examples have the array that it needs.
    """

    name: str
    label: str
    rows: Sequence[RunRecord]
    needs: str


@dataclass(frozen=True, slots=True)
class Pick:
    """The run that stands for a row of a figure, and its example images and maps."""

    wanted: Wanted
    row: RunRecord
    arrays: Arrays


def pick_runs(
    runs: RunSet, wanted: Iterable[Wanted]
) -> tuple[list[Pick], tuple[str, ...]]:
    """Return for each row of a figure the run of the lowest seed that's done.

    All have the same test images. Also what is missing, in words.
    """
    picks: list[Pick] = []
    missing: list[str] = []
    for one in wanted:
        row = first_done(one.rows)
        arrays = None if row is None else runs.examples(row)
        if row is None:
            missing.append(f"{one.name}: {_why(one.rows)}")
        elif arrays is None or one.needs not in arrays:
            what = "example maps" if arrays is None else one.needs
            missing.append(
                f"{one.name}: seed {row.seed} was evaluated without {what}; "
                "'reff-bench evaluate' does it again"
            )
        elif picks and not _are_same_images(picks[0].arrays, arrays):
            missing.append(f"{one.name}: its examples are other test images")
        else:
            picks.append(Pick(one, row, arrays))
    return picks, tuple(missing)


def _why(rows: Sequence[RunRecord]) -> str:
    if not rows:
        return "no run in the grid"
    counts = Counter(row.status for row in rows)
    return f"no run is done ({', '.join(f'{n} {name}' for name, n in counts.items())})"


def _are_same_images(first: Arrays, second: Arrays) -> bool:
    return all(np.array_equal(first[name], second[name]) for name in ("index", "image"))


def seeds_in_words(picks: Sequence[Pick]) -> str:
    """Say which seeds are shown."""
    seeds = {pick.row.seed for pick in picks}
    if len(seeds) == 1:
        return f"Seed {seeds.pop()}, the lowest that's done."
    each = ", ".join(f"{pick.wanted.name}: {pick.row.seed}" for pick in picks)
    return f"Seeds, the lowest that's done of each row: {each}."


def class_notes(arrays: Arrays) -> list[str]:
    """Return the images' class names, cut to a tile's width."""
    names = [
        printable(str(arrays["class_names"][n]).replace("_", " "))
        for n in arrays["label"]
    ]
    return [name if len(name) <= WIDE else f"{name[: WIDE - 1]}…" for name in names]


def image_row(arrays: Arrays) -> Row:
    """Return the images with their masks' outlines; under each the mask's area."""
    pairs = list(zip(arrays["image"], arrays["mask"], strict=True))
    return Row(
        "image",
        [outlined(image_tile(image), mask) for image, mask in pairs],
        [f"area {mask.mean():.2f}" if mask.any() else UNMASKED for _, mask in pairs],
    )


def map_row(pick: Pick) -> Row:
    """Return maps over their images, under each its EPG and the network's answer."""
    arrays = pick.arrays
    maps = arrays[pick.wanted.needs]
    each = list(zip(arrays["image"], arrays["mask"], maps, strict=True))
    tiles = [outlined(heat_tile(image, heat), mask) for image, mask, heat in each]
    notes = [
        f"{_epg(heat, mask)} {verdict}".lstrip()
        for (_, mask, heat), verdict in zip(each, _verdicts(arrays), strict=True)
    ]
    return Row(pick.wanted.label, tiles, notes)


def _epg(heat: NDArray[Any], mask: NDArray[Any]) -> str:
    """Return a map's EPG; nothing where the image has no mask."""
    found = energy_in(heat, mask)
    if found is None:
        return "empty"
    return f"{found:.2f}" if mask.any() else ""


def _verdicts(arrays: Arrays) -> list[str]:
    """Return `right`, or the class predicted instead, where its name is short."""
    verdicts = []
    for label, predicted in zip(arrays["label"], arrays["predicted"], strict=True):
        name = str(arrays["class_names"][predicted])
        wrong = f"says {name}" if len(name) <= SHORT else "wrong"
        verdicts.append("right" if label == predicted else wrong)
    return verdicts


def annotation_row(pick: Pick) -> Row:
    """Return pseudo-annotations, under each its IoU with the true mask."""
    arrays = pick.arrays
    pairs = list(zip(arrays["pseudo_mask"], arrays["mask"], strict=True))
    return Row(
        pick.wanted.label,
        [outlined(mask_tile(soft), mask) for soft, mask in pairs],
        [f"{overlap(soft, m):.2f}" if m.any() else UNMASKED for soft, m in pairs],
    )


def truth_row(arrays: Arrays) -> Row:
    """Return the true masks."""
    return Row("All (true)", [mask_tile(mask) for mask in arrays["mask"]])
