"""What a run tells while it goes on: its progress, and TensorBoard's event files."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from reff_bench.results.run import RunError, RunProgress

SECONDS = 0.25  # between two reports
ANNOTATOR_SHARE = 0.2  # of a run's work, roughly
TRAINING_SHARE = 0.97  # done when the training ends

ProgressCallback = Callable[[RunProgress], None]
FOLDER = "tensorboard"


class Reporter:
    """Hands `RunProgress` to a callback; `annotator`: one is trained first."""

    def __init__(self, report: ProgressCallback | None, *, annotator: bool) -> None:
        """Say nothing yet."""
        self._report = report
        self._start = ANNOTATOR_SHARE if annotator else 0.0
        self._last = -SECONDS

    def stage(self, name: str, fraction: float) -> None:
        """Report a stage's begin, in any case."""
        if self._report is not None:
            self._report(RunProgress(name, fraction))

    def annotator(self, done: int, steps: int, losses: Mapping[str, float]) -> None:
        """Report the pseudo-annotator's training."""
        fraction = self._start * done / steps
        self._emit(RunProgress("annotator", fraction, losses=losses))

    def training(
        self, done: float, epoch: int, losses: Mapping[str, float], speed: float | None
    ) -> None:
        """Report the classifier's training: the share of all steps that are done.

        Epoch, losses and speed are as in `RunProgress`.
        """
        fraction = self._start + (TRAINING_SHARE - self._start) * done
        self._emit(RunProgress("training", fraction, epoch, losses, speed))

    def _emit(self, progress: RunProgress) -> None:
        now = time.monotonic()
        if self._report is not None and now - self._last >= SECONDS:
            self._last = now
            self._report(progress)


@contextmanager
def event_files(
    folder: Path, *, wanted: bool
) -> Iterator[Callable[[Mapping[str, float], int], None]]:
    """Give a function that writes an epoch's values, by name; epochs count from 1.

    The files go into `tensorboard` in the run's folder, if they are wanted.

    Raises:
        RunError: tensorboard isn't installed.
    """
    if not wanted:
        yield lambda values, epoch: None
        return
    try:
        # An optional package, needed only where event files are asked for.
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise RunError(
            "TensorBoard event files need the package tensorboard, which isn't "
            "installed: pip install tensorboard, or leave the option out"
        ) from None
    make: Any = SummaryWriter  # its methods have no types
    with closing(make(str(folder / FOLDER))) as writer:

        def add(values: Mapping[str, float], epoch: int) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, epoch)
            writer.flush()

        yield add
