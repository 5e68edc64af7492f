"""How long each operation takes on one device, as measured and kept: `StepTimes`."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reff_bench.cost.operations import Operation
from reff_bench.grid.errors import GridError
from reff_bench.results.json_file import read_json
from texturedmnist.common.files import write_atomically

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class StepTimes:
    """How long each operation takes on one device, of the type `cpu` or `cuda`."""

    device: str
    device_type: str
    seconds: Mapping[Operation, float]


def write_step_times(path: Path, times: StepTimes) -> None:
    """Write step times as JSON, atomically."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "device": times.device,
        "device_type": times.device_type,
        "operations": [
            {"kind": one.kind, "settings": json.loads(one.settings), "seconds": seconds}
            for one, seconds in times.seconds.items()
        ],
    }
    write_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_step_times(path: Path) -> StepTimes:
    """Read what `write_step_times` has written.

    Raises:
        GridError: the file is of another kind or version.
        ResultsError: the file is broken.
    """
    content = read_json(path)
    try:
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError
        seconds = {
            Operation.of(str(one["kind"]), dict(one["settings"])): float(one["seconds"])
            for one in content["operations"]
        }
        if not all(0 <= value < math.inf for value in seconds.values()):
            raise ValueError
        return StepTimes(str(content["device"]), str(content["device_type"]), seconds)
    # What a file that we haven't written holds in place of a part, or doesn't hold.
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise GridError(
            f"{path} holds no step times of schema version {SCHEMA_VERSION}; give a "
            "file that reff-bench run --dry-run --cost --step-times FILE has written, "
            "or a new name"
        ) from None
