"""What a run leaves to go on from: `Checkpoint`, written atomically."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from reff_bench import __version__
from reff_bench.results.run import RunError
from reff_bench.torch_files import TorchFileError, load_torch, save_torch
from reff_bench.train.meter import Clocks

SCHEMA_VERSION = 1
State = dict[str, Any]


@dataclass(slots=True)
class TrainState:
    """How far a run is.

    Attributes:
        epoch: the current one, from 0; the number of epochs when all are done.
        step: steps done in it.
        seconds: spent in steps.
        images: trained on, over all epochs.
        sums: of the current epoch, by name; see `Meter`.
        sum_images: of these sums.
        history: one value per finished epoch, by name.
        fetch_seconds: of `seconds`, spent on waiting for batches; see `FetchClock`.
        found: what the method's stages had to say, for the record.
        processor_seconds: spent in steps by this process alone, whatever else ran on
            the machine; None where an older release began.
    """

    epoch: int
    step: int
    seconds: float
    images: int
    sums: dict[str, float]
    sum_images: int
    history: dict[str, list[float]]
    fetch_seconds: float = 0.0
    found: State = field(default_factory=dict)
    processor_seconds: float | None = None

    def add_time(self, spent: Clocks) -> None:
        """Count what further steps took."""
        self.seconds += spent.wall
        if self.processor_seconds is not None:
            self.processor_seconds += spent.processor


@dataclass(slots=True)
class Checkpoint:
    """All that a run needs to go on, or, when it is finished, to be evaluated.

    Attributes:
        config_id: of the run.
        device_type: `cpu` or `cuda`.
        position: how far it is.
        model: the model's state.
        optimizer: its state and the gradient scaler's, that of what the method keeps
            beside the model, and the random states; None when the run is finished.
    """

    config_id: str
    device_type: str
    position: TrainState
    model: dict[str, Tensor]
    optimizer: State | None

    def save(self, path: Path) -> None:
        """Write atomically, its digest beside it."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "package_version": __version__,
            "cell_id": self.config_id,
            "device_type": self.device_type,
            "position": {
                name: getattr(self.position, name) for name in TrainState.__slots__
            },
            "model": self.model,
            "optimizer": self.optimizer,
        }
        save_torch(content, path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        RunError: the file is damaged, foreign or of another version.
    """
    try:
        content = load_torch(path)
    except TorchFileError as error:
        raise RunError(f"{error}; {_REMEDY}") from None
    if not isinstance(content, dict) or "schema_version" not in content:
        raise RunError(f"{path} is no readable checkpoint of ours; {_REMEDY}")
    if content["schema_version"] != SCHEMA_VERSION:
        raise RunError(
            f"{path} has schema version {content['schema_version']}; this release "
            f"reads {SCHEMA_VERSION}: {_REMEDY}"
        )
    try:
        return Checkpoint(
            content["cell_id"],
            content["device_type"],
            TrainState(**content["position"]),
            content["model"],
            content["optimizer"],
        )
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} lacks a part ({error}); {_REMEDY}") from None


_REMEDY = "delete the run's folder, and 'reff-bench run' trains it from the beginning"


def check_fits(
    checkpoint: Checkpoint, path: Path, config_id: str, device_type: str
) -> None:
    """Refuse to go on with another run, or on another kind of device.

    Raises:
        RunError: the checkpoint is of another run or device.
    """
    if checkpoint.config_id != config_id:
        raise RunError(
            f"{path} belongs to the run {checkpoint.config_id}, not to {config_id}; "
            f"{_REMEDY}"
        )
    if checkpoint.optimizer is not None and checkpoint.device_type != device_type:
        raise RunError(
            f"{path} was started on {checkpoint.device_type} and would be continued on "
            f"{device_type}, which gives other weights than an unbroken run; choose "
            f"the device {checkpoint.device_type}, or allow it (--other-device), or "
            "delete the file to train from the beginning"
        )
