"""How far long work is: a bar on a terminal, a few lines in a pipe."""

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

LINES = 10


class Progress:
    """Counts work done and shows it on stderr.

    Args:
        total: how much there is to do.
        title: what is being done.
        unit: what is counted.
        show: False keeps silent.
    """

    def __init__(self, total: int, title: str, unit: str, *, show: bool) -> None:
        """Begin at zero."""
        self.total, self.title, self.unit = total, title, unit
        self.done, self._started = 0, time.monotonic()
        terminal = sys.stderr.isatty()
        self._lines = show and not terminal
        self._bar = tqdm(
            total=total,
            desc=title,
            unit=f" {unit}",
            disable=not (show and terminal),
            smoothing=0.05,
        )

    def __enter__(self) -> Self:
        """Start showing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing; the bar stays as it was."""
        self._bar.close()

    def __call__(self, amount: int) -> None:
        """Count `amount` more."""
        before, self.done = self.done, self.done + amount
        self._bar.update(amount)
        step = before * LINES // max(self.total, 1)
        if self._lines and self.done * LINES // max(self.total, 1) > step:
            seconds = time.monotonic() - self._started
            print(
                f"{self.title}: {self.done} of {self.total} {self.unit}, "
                f"{seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
