"""How far long work is: a bar on a terminal, a few lines in a pipe."""

import sys
import time
from contextlib import suppress
from typing import Self

from tqdm import tqdm

LINES = 10
UNITS = ("bytes", "kB", "MB", "GB", "TB")


def show_bytes(count: int) -> str:
    """Return a size in the unit that fits, such as `3.2 MB`."""
    for power, unit in reversed(list(enumerate(UNITS))):
        if power and count >= 0.9995 * 1000**power:
            size = count / 1000**power
            return f"{size:.{max(0, 2 - len(str(int(size))) + 1)}f} {unit}"
    return f"{count} byte{'s' * (count != 1)}"


def on_terminal() -> bool:
    """Whether standard error is a terminal; a daemon may have none at all."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it was closed
        return False


class _Bar(tqdm):  # type: ignore[type-arg] # generic in its stubs alone
    """tqdm's, without the thread that watches it."""

    monitor_interval = 0  # where memory is short, starting a thread can take for ever


class Progress:
    """Counts work done and shows it on stderr, unless `show` is False."""

    def __init__(self, total: int, title: str, unit: str, *, show: bool) -> None:
        """Begin at zero."""
        self.total, self.title, self.unit = total, title, unit
        self.done, self._started = 0, time.monotonic()
        terminal = on_terminal()
        self._lines = show and not terminal and sys.stderr is not None
        self._bar = _Bar(
            total=total,
            desc=title,
            unit=f" {unit}",
            disable=not (show and terminal),
            smoothing=0.05,
        )

    def __enter__(self) -> Self:
        """Start showing."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop showing; the bar stays as it was."""
        with suppress(OSError):
            self._bar.close()

    def __call__(self, amount: int) -> None:
        """Count `amount` more; who can't be told stops no work."""
        before, self.done = self.done, self.done + amount
        try:
            self._show(before, amount)
        except (OSError, ValueError):  # a full disk, a closed terminal or stream
            self._lines, self._bar.disable = False, True

    def _show(self, before: int, amount: int) -> None:
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
