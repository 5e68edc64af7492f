"""Telling how far a run is, several times a second at most: `Reporter`."""

import time
from collections.abc import Callable, Mapping

from reff_bench.results.progress import RunProgress

SECONDS = 0.25  # between two reports
ANNOTATOR_SHARE = 0.2  # of a run's work, roughly
TRAINING_SHARE = 0.97  # done when the training ends

ProgressCallback = Callable[[RunProgress], None]


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
        self._say(RunProgress("annotator", fraction, losses=losses))

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
        self._say(RunProgress("training", fraction, epoch, losses, speed))

    def _say(self, progress: RunProgress) -> None:
        now = time.monotonic()
        if self._report is not None and now - self._last >= SECONDS:
            self._last = now
            self._report(progress)
