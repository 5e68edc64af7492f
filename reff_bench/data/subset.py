"""Which training images are annotated: nested, seeded, the same on every machine."""

from hashlib import sha256
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reff_bench.identity.tree import DataError

Unit = Literal["per_class", "total", "percent"]


def annotated_subset(
    labels: NDArray[np.int64],
    annotations: int | Literal["all"],
    unit: Unit,
    seed: int,
    eligible: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Choose the annotated images: the smaller choices lie within the larger ones.

    The images stand in an order that the seed alone decides (by sha256 of seed and
    index), and the first ones are taken: of every class (`per_class`), or of all
    (`total`; `percent`, rounded up).

    Args:
        labels: (n,) int64.
        annotations: how many, or `all`.
        unit: of `annotations`.
        seed: of the order.
        eligible: (n,) bool, the images that have a mask; all by default.

    Returns:
        (n,) bool.

    Raises:
        DataError: there are fewer images with a mask than asked for.
    """
    count = len(labels)
    able = np.ones(count, np.bool_) if eligible is None else eligible
    if annotations == "all":
        return able.copy()
    _check_enough(labels, able, annotations, unit)
    order = np.array(sorted(range(count), key=lambda i: _word(seed, i)), np.int64)
    order = order[able[order]]
    if unit == "per_class":
        ranks = _ranks_within(labels[order])
        taken = order[ranks < annotations]
    else:
        percent = unit == "percent"
        taken = order[
            : ceil(annotations * len(order) / 100) if percent else annotations
        ]
    chosen = np.zeros(count, np.bool_)
    chosen[taken] = True
    return chosen


def _check_enough(
    labels: NDArray[np.int64], able: NDArray[np.bool_], asked: int, unit: Unit
) -> None:
    """Refuse a number that the data can't give: it would be named for another one."""
    if unit == "per_class":
        classes = np.unique(labels)
        counts = np.array([(able & (labels == one)).sum() for one in classes])
        found, whose = int(counts.min()), f"class {classes[counts.argmin()]} has"
    else:
        found, whose = int(able.sum()), "there are"
    if unit != "percent" and asked > found:
        raise DataError(
            f"annotations {asked} {unit}: {whose} {found} training images with a mask; "
            f"at most {found} or all is allowed"
        )


def random_split(
    count: int, first: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split range(count) at random: a share `first` of it, rounded, and the rest.

    Both parts are sorted.
    """
    order = np.array(sorted(range(count), key=lambda i: _word(seed, i)), np.int64)
    cut = round(first * count)
    return np.sort(order[:cut]), np.sort(order[cut:])


def _word(seed: int, index: int) -> bytes:
    return sha256(f"{seed}:{index}".encode()).digest()


def _ranks_within(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each entry's place among the entries of its class."""
    ranks = np.empty(len(classes), np.int64)
    for number in np.unique(classes):
        places = np.flatnonzero(classes == number)
        ranks[places] = np.arange(len(places))
    return ranks
