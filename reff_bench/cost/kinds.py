"""The kinds of work that a cell is made of: `Kind`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from reff_bench.catalog import known_method, plain
from reff_bench.grid import Cell
from reff_bench.grid.fields import TRAINING_KEYS

TRAIN, PREDICT, FOCUS = "train", "predict", "focus"
ANNOTATE, DRAW = "annotate", "draw"
# What changes how many steps there are or what they compute, but not their time.
FREE = {
    *("annotation_unit", "epochs", "flips", "loader_workers", "lr", "momentum"),
    *("swap_probability", "warmup", "weight", "weight_decay", "weights"),
}
WORDS = {
    TRAIN: "training step",
    PREDICT: "image predicted",
    FOCUS: "image explained",
    ANNOTATE: "annotator's step",
    DRAW: "mask drawn",
}
ANNOTATOR = "annotator_"
FEW_ANNOTATIONS = 50  # up to so many the annotator's batches are of one image
MANY = 16


@dataclass(frozen=True, slots=True)
class Kind:
    """Work that takes the same time whichever cell of a grid it is done for.

    Attributes:
        what: `train` (one step of the classifier), `predict` (one image), `focus` (the
            maps of one image and their metrics), `annotate` (one step of the
            pseudo-annotator) or `draw` (the pseudo-mask of one image).
        fields: (name, value) of all that its time depends on, but the device.
    """

    what: str
    fields: tuple[tuple[str, Any], ...]

    def value(self, name: str) -> Any:  # noqa: ANN401 (fields are of any type)
        """Return a field, or None where the kind doesn't have it."""
        return dict(self.fields).get(name)


def make_kind(what: str, fields: Mapping[str, Any]) -> Kind:
    """Return a kind of work; the order of its fields doesn't matter."""
    return Kind(what, tuple(sorted(fields.items())))


def train_kind(cell: Cell) -> Kind:
    """Return the kind of a cell's training steps."""
    names = dict.fromkeys((*TRAINING_KEYS, *plain(cell.options)))
    used = [name for name in names if name not in FREE]
    return _kind(TRAIN, cell, ["method", "image_size", *used])


def net_kind(what: str, cell: Cell) -> Kind:
    """Return the kind of a cell's evaluation, `PREDICT` or `FOCUS`.

    Only the net matters to it: methods that train the same one share it.
    """
    names = ["backbone", "image_size", "threads", "map_kernel", "multiplicative_only"]
    own = ["method"] if ":" in cell.method else []
    return _kind(what, cell, [*own, *names])


def annotator_kind(what: str, cell: Cell, annotated: int) -> Kind:
    """Return the kind of a pseudo-annotator's work, `ANNOTATE` or `DRAW`.

    Args:
        what: of the two.
        cell: whose.
        annotated: how many images it is trained on.
    """
    size = cell.annotator_batch_size or (1 if annotated <= FEW_ANNOTATIONS else MANY)
    fields: dict[str, Any] = {
        "image_size": cell.image_size,
        "threads": cell.threads,
        "annotator_base_channels": cell.annotator_base_channels,
        "annotator_downs": cell.annotator_downs,
        "annotator_norm": cell.annotator_norm or ("instance" if size == 1 else "batch"),
    }
    return make_kind(
        what, fields | ({"annotator_batch_size": size} if what == ANNOTATE else {})
    )


def describe_kind(kind: Kind, others: Collection[Kind]) -> str:
    """Return a kind in words: `training step, ReFF, layers stage4`.

    Args:
        kind: which.
        others: of the same grid; only what tells the kind apart from them is named.
    """
    alike = [o for o in others if (o.what, _name(o)) == (kind.what, _name(kind))]
    varied = [
        f"{field.removeprefix(ANNOTATOR)} {_short(value)}"
        for field, value in kind.fields
        if value is not None and any(o.value(field) != value for o in alike)
    ]
    return ", ".join(part for part in (WORDS[kind.what], _name(kind), *varied) if part)


def _name(kind: Kind) -> str:
    method = kind.value("method")
    if method is not None:
        return known_method(method).title
    return "" if kind.value("map_kernel") is None else "ABN's net"


def _kind(what: str, cell: Cell, names: list[str]) -> Kind:
    return make_kind(what, {name: cell.value(name) for name in names})


def _short(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)
