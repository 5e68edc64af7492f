"""TensorBoard event files, if they are asked for: `EventWriter`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from reff_bench.results.progress import RunError

FOLDER = "tensorboard"


class EventWriter:
    """Writes one value per name and epoch.

    Args:
        folder: of the run; the files go into `tensorboard` in it.
        wanted: False writes nothing.

    Raises:
        RunError: tensorboard isn't installed.
    """

    def __init__(self, folder: Path, wanted: bool) -> None:
        """Open the file."""
        self._writer: Any = _open(folder / FOLDER) if wanted else None

    def __enter__(self) -> Self:
        """Start writing."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def add(self, values: Mapping[str, float], epoch: int) -> None:
        """Write an epoch's values; epochs count from 1."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, epoch)
            self._writer.flush()


def _open(folder: Path) -> object:
    try:
        # An optional package, needed only where event files are asked for.
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise RunError(
            "TensorBoard event files need the package tensorboard, which isn't "
            "installed: pip install tensorboard, or leave the option out"
        ) from None
    return SummaryWriter(str(folder))
