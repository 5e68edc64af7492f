"""A command that is stopped at a moment of its work, and what it leaves."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
STARTS = "from {package}.cli import main; main()"
LIMIT = 300.0  # s; nothing here takes as long
PASSING = (".lock",)  # what locks leave says nothing


@dataclass(frozen=True, slots=True)
class Command:
    """A command line of one of the two packages.

    Attributes:
        package: whose.
        args: of it; `{out}` is the folder that it writes, `{data}` one beside it.
    """

    package: str
    args: tuple[str, ...]

    def start(self, out: Path) -> "subprocess.Popen[str]":
        """Start it in a process group of its own."""
        args = [one.format(out=out, data=out.with_name("data")) for one in self.args]
        code = STARTS.format(package=self.package)
        return subprocess.Popen(
            [sys.executable, "-c", code, *args],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def finish(self, out: Path) -> str:
        """Run it to its end and return what it says on stderr."""
        process = self.start(out)
        _, said = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, said
        return said

    def stop(self, out: Path, after: float, what: str, sign: int) -> int | None:
        """Start it, send a signal after some seconds, and wait for its end.

        Args:
            out: the folder that it writes.
            after: seconds.
            what: `parent`, `worker` (one of its children), or `group`.
            sign: the signal.

        Returns:
            Its exit code.
        """
        process = self.start(out)
        time.sleep(after)
        try:
            for pid in _targets(process.pid, what):
                os.kill(pid, sign)
            process.communicate(timeout=LIMIT)
            return process.returncode
        finally:
            _end_group(process)


def _targets(pid: int, what: str) -> list[int]:
    if what == "parent":
        return [pid]
    found = children(pid)
    if what == "group":
        return [pid, *found]
    return [random.Random(pid).choice(found)] if found else []


def children(pid: int) -> list[int]:
    """The processes that one has started, and theirs."""
    found = []
    for task in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = task.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            child = int(task.parent.name)
            found += [child, *children(child)]
    return found


def _end_group(process: "subprocess.Popen[str]") -> None:
    """End what a killed parent has left running, as a machine's end would."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.05)


def contents(out: Path, without: Sequence[str] = ()) -> dict[str, bytes]:
    """All files of a folder with their bytes, but locks and some others."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
        and not path.name.endswith(PASSING)
        and path.name not in without
    }


def moments(seconds: float, count: int, seed: int) -> list[float]:
    """Random moments of a run that takes so long, one in each equal part of it."""
    draws = random.Random(seed)
    return [seconds * (part + draws.random()) / count for part in range(count)]
