"""A share of the work, for schedulers that start one process each: `Part`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from filelock import FileLock

from texturedmnist.executors.interface import ExecutorError

LOCK_NAME = ".lock"
NUMBER = re.compile("[0-9]{1,9}")
PROBE_SECONDS = 1.0  # parts that start together look at the same locks

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Part:
    """The `number`-th of `total` equal shares, counted from 1."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2/4`.

        Raises:
            ExecutorError: it is something else, or no such part exists.
        """
        number, slash, total = text.partition("/")
        if slash and NUMBER.fullmatch(number) and NUMBER.fullmatch(total):
            part = cls(int(number), int(total))
            if 1 <= part.number <= part.total:
                return part
        raise ExecutorError(
            f"--part {text[:40]}: give i/n with 1 <= i <= n, such as 2/4 for the "
            "second of four equal shares"
        )

    def take(self, items: Sequence[Item]) -> list[Item]:
        """Return every `total`-th item: shares differ by one item at most."""
        return list(items[self.number - 1 :: self.total])

    def __str__(self) -> str:
        """Return it as `2/4`."""
        return f"{self.number}/{self.total}"


@contextmanager
def hold_folder(folder: Path, part: Part | None = None) -> Iterator[None]:
    """Make a folder and hold its lock: one writer, or one for each of its parts.

    Args:
        folder: the folder.
        part: what is worked on; None is everything.

    Raises:
        filelock.Timeout: another process works on the same.
        OSError: the folder can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = _lock_name(part)
    with FileLock(folder / own, timeout=0):
        for path in folder.glob(f"{LOCK_NAME}*"):
            if path.name != own and not _beside(part, path.name):
                with FileLock(path, timeout=PROBE_SECONDS):
                    pass
        yield


def _lock_name(part: Part | None) -> str:
    return LOCK_NAME if part is None else f"{LOCK_NAME}-{part.number}-of-{part.total}"


def _beside(part: Part | None, name: str) -> bool:
    """Whether the holder of that lock works on something else than this part."""
    return part is not None and name.endswith(f"-of-{part.total}")
