"""A share of the work, for schedulers that start one process each: `Part`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from filelock import FileLock, Timeout

from texturedmnist.common.executors.interface import ExecutorError
from texturedmnist.common.files import FolderError, clear_temporaries, unwritable

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
def sole_writer(
    folder: Path, part: Part | None = None, leftovers: Iterable[str] = ()
) -> Iterator[None]:
    """Make a folder, hold its lock and clear what a killed run left behind.

    Others may work on the other parts; None is everything. `leftovers` are patterns of
    temporary files below the folder that are nobody else's.

    Raises:
        FolderError: another process works on the same, or it can't be written.
    """
    with ExitStack() as held:
        try:
            held.enter_context(_lock(folder, part))
        except Timeout:
            raise FolderError(
                f"another process is writing to {folder}; wait for it or choose "
                "another --out"
            ) from None
        except OSError as error:
            raise unwritable(folder, error) from None
        clear_temporaries(folder, leftovers)
        # A full disk can take a worker down before it clears.
        held.callback(clear_temporaries, folder, leftovers)
        yield


@contextmanager
def _lock(folder: Path, part: Part | None) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    group = "" if part is None else f"-of-{part.total}"
    own = LOCK_NAME if part is None else f"{LOCK_NAME}-{part.number}{group}"
    with FileLock(folder / own, timeout=0):
        for path in folder.glob(f"{LOCK_NAME}*"):
            # Other parts of as many work on something else.
            beside = group and path.name.endswith(group)
            if path.name != own and not beside:
                with FileLock(path, timeout=PROBE_SECONDS):
                    pass
        yield
