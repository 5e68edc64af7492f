"""Commands of both packages in processes of their own, watched and ended from here."""

import contextlib
import importlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
LIMIT = 300.0  # s; nothing here takes as long
LOCK = ".lock"  # the end of the names of locks; what they leave says nothing
# A command is a fork of a process that has these loaded, which spares most of its time.
LOADED = {
    *("tests.faults.breaking", "texturedmnist.cli", "texturedmnist.interop.export"),
    *("reff_bench.cli", "pyarrow.parquet"),
}
Preparation = Callable[[], object]


class Ended(NamedTuple):
    """How a command has ended.

    Attributes:
        code: its exit code; minus the number of the signal that killed it.
        said: on standard error.
    """

    code: int
    said: str

    @property
    def error(self) -> str:
        """Its one line of what went wrong: nothing before it looks like another."""
        lines = self.said.splitlines()
        errors = [line for line in lines if line.startswith(("Error: ", "Traceback"))]
        assert errors == lines[-1:], self.said
        return errors[0].removeprefix("Error: ")


@dataclass(frozen=True, slots=True)
class Command:
    """A command line of one of the two packages.

    Attributes:
        package: whose.
        args: of it; `{out}` is the folder that it writes, `{data}` one beside it.
        loads: further modules that are loaded before it begins.
    """

    package: str
    args: tuple[str, ...]
    loads: tuple[str, ...] = ()

    def start(self, out: Path, *preparations: Preparation) -> "Running":
        """Start it in a session of its own.

        Args:
            out: the folder that it writes.
            preparations: called in its process, before it begins.
        """
        args = [one.format(out=out, data=out.with_name("data")) for one in self.args]
        number, path = tempfile.mkstemp()
        os.close(number)
        process = _server(self.loads).Process(
            target=_run, args=(self.package, args, path, preparations)
        )
        process.start()
        return Running(process, Path(path))

    def run(self, out: Path, *preparations: Preparation) -> Ended:
        """Run it to its end, whatever that is."""
        return self.start(out, *preparations).end()

    def finish(self, out: Path, *preparations: Preparation) -> None:
        """Run it to its end, which is a good one."""
        ended = self.run(out, *preparations)
        assert ended.code == 0, ended.said


@dataclass(frozen=True, slots=True)
class Running:
    """A command under way."""

    process: BaseProcess
    _said: Path

    def send(self, what: str, sign: int) -> bool:
        """Send a signal to `parent`, `worker` (one of its processes) or `group`.

        Returns:
            Whether there was such a process.
        """
        parent = self.process.pid or 0
        group = processes(parent)
        workers = [pid for pid in group if pid != parent]
        random.shuffle(workers)
        chosen = {"worker": workers[:1], "group": group}.get(what, [parent])
        for pid in chosen:
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
        return bool(chosen)

    def reaches(self, there: Callable[[], object]) -> bool:
        """Wait until something is there, or the command has ended."""
        while not (found := there()) and self.process.is_alive():
            time.sleep(0.003)
        return bool(found)

    def end(self) -> Ended:
        """Wait for its end; what it has left running ends, too."""
        self.process.join(LIMIT)
        code = self.process.exitcode
        self.send("group", signal.SIGKILL)
        self.process.join()
        said = self._said.read_text()
        self._said.unlink()
        assert code is not None, f"it hangs: {said}"
        return Ended(code, said)


def _server(modules: Sequence[str]) -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    server: Any = forkserver._forkserver
    if not LOADED.issuperset(modules):
        server._stop()  # it can't load more when it runs
        LOADED.update(modules)
    context.set_forkserver_preload([*LOADED])
    with contextlib.chdir(ROOT):  # where it finds our own
        forkserver.ensure_running()
    return context


def _run(
    package: str, args: list[str], said: str, preparations: Sequence[Preparation]
) -> None:
    os.setsid()
    # What has started the tests may ignore them: nohup, or a shell in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    sys.modules["__main__"] = ModuleType("__main__")  # else its workers import pytest
    tracker: Any = resource_tracker._resource_tracker
    tracker._fd = None  # else it would leave what it breaks off with to pytest's
    for number, path in ((1, os.devnull), (2, said)):
        stream = os.open(path, os.O_WRONLY)
        os.dup2(stream, number)
        os.close(stream)
    for prepare in preparations:
        prepare()
    importlib.import_module(f"{package}.cli").main(args)


def processes(session: int) -> list[int]:
    """The processes of a session, but for what clears up after Python's others."""
    found = []
    for task in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            clears = b"resource_tracker" in (task / "cmdline").read_bytes()
            if int(fields[3]) == session and fields[0] != "Z" and not clears:
                found.append(int(task.name))
    return found


def contents(out: Path) -> dict[str, bytes]:
    """All files of a folder with their bytes; locks are left out."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and LOCK not in path.name
    }
