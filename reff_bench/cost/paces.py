"""How long each kind of work takes, as measured and kept: `Paces`."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from reff_bench import __version__
from reff_bench.cost.kinds import Kind, make_kind, train_kind
from reff_bench.grid import GridError
from reff_bench.results import RunRecord, read_json
from texturedmnist.common.files import write_atomically

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Pace:
    """How long one kind of work takes.

    Attributes:
        seconds: for one of it: a step, an image.
        source: where that is from: `measured`, how, or `recorded`.
    """

    seconds: float
    source: str


@dataclass(frozen=True, slots=True)
class Paces:
    """The pace of each kind of work on one device.

    Attributes:
        device: its name.
        device_type: `cpu` or `cuda`.
        by_kind: what is known.
    """

    device: str
    device_type: str
    by_kind: Mapping[Kind, Pace]


def write_paces(path: Path, paces: Paces) -> None:
    """Write paces as JSON, whole or not at all."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "package_version": __version__,
        "device": paces.device,
        "device_type": paces.device_type,
        "paces": [
            {
                "what": kind.what,
                **dict(kind.fields),
                "seconds": pace.seconds,
                "source": pace.source,
            }
            for kind, pace in paces.by_kind.items()
        ],
    }
    write_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_paces(path: Path) -> Paces:
    """Read what `write_paces` has written.

    Raises:
        GridError: the file is of another kind or version.
        ResultsError: the file is broken.
    """
    content = read_json(path)
    try:
        if content.get("schema_version") != SCHEMA_VERSION:
            raise ValueError
        by_kind = dict(map(_entry, content["paces"]))
        return Paces(str(content["device"]), str(content["device_type"]), by_kind)
    # What a file that we haven't written holds in place of a part, or lacks.
    except (ValueError, KeyError, TypeError, AttributeError):
        raise GridError(
            f"{path} holds no step times of schema version {SCHEMA_VERSION}; give a "
            "file that reff-bench run --dry-run --cost --step-times FILE has written, "
            "or a new name"
        ) from None


def find_recorded(records: Iterable[RunRecord], device: str) -> dict[Kind, Pace]:
    """Return the pace of training steps in finished runs: the median over runs.

    Args:
        records: of a grid's cells.
        device: only runs on the device of this name count.
    """
    found: dict[Kind, list[float]] = {}
    for one in records:
        rate, where = (
            one.metrics.get("images_per_second"),
            one.environment.get("device"),
        )
        if one.status == "done" and where == device and rate:
            seconds = one.settings.batch_size / rate
            found.setdefault(train_kind(one.settings), []).append(seconds)
    return {
        kind: Pace(median(seconds), f"recorded in {len(seconds)} runs")
        for kind, seconds in found.items()
    }


def _entry(fields: dict[str, Any]) -> tuple[Kind, Pace]:
    what, seconds, source = (fields.pop(key) for key in ("what", "seconds", "source"))
    known = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
    }
    kind, seconds = make_kind(str(what), known), float(seconds)
    hash(kind)
    if not 0 <= seconds < math.inf:
        raise ValueError
    return kind, Pace(seconds, str(source))
