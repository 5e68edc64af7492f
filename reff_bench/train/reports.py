"""Telling how far a cell is, several times a second at most: `Reporter`."""

import time
from collections.abc import Callable, Mapping

from reff_bench.results import CellProgress

SECONDS = 0.25  # between two reports
ANNOTATOR_SHARE = 0.2  # of a cell's work, roughly
TRAINING_SHARE = 0.97  # done when the training ends

Report = Callable[[CellProgress], None]


class Reporter:
    """Hands `CellProgress` to a callback.

    Args:
        report: the callback, or None.
        annotator: whether a pseudo-annotator is trained first.
    """

    def __init__(self, report: Report | None, *, annotator: bool) -> None:
        """Say nothing yet."""
        self._report = report
        self._start = ANNOTATOR_SHARE if annotator else 0.0
        self._last = -SECONDS

    def stage(self, name: str, fraction: float) -> None:
        """Report a stage's begin, in any case."""
        if self._report is not None:
            self._report(CellProgress(name, fraction))

    def annotator(self, done: int, steps: int, losses: Mapping[str, float]) -> None:
        """Report the pseudo-annotator's training."""
        fraction = self._start * done / steps
        self._say(CellProgress("annotator", fraction, losses=losses))

    def training(
        self, done: float, epoch: int, losses: Mapping[str, float], speed: float | None
    ) -> None:
        """Report the classifier's training.

        Args:
            done: share of all steps.
            epoch: from 1.
            losses: means of the epoch so far.
            speed: images per second.
        """
        fraction = self._start + (TRAINING_SHARE - self._start) * done
        self._say(CellProgress("training", fraction, epoch, losses, speed))

    def _say(self, progress: CellProgress) -> None:
        now = time.monotonic()
        if self._report is not None and now - self._last >= SECONDS:
            self._last = now
            self._report(progress)
