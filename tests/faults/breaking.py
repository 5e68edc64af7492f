"""What breaks a command: preparations of its process, and disks of any size."""

import ctypes
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PR_SET_SECUREBITS, NOROOT = 28, 3  # of prctl(2) and capabilities(7)


@dataclass(slots=True)
class AtChange:
    """Does something just before a change of a folder by this process or a fork.

    Attributes:
        folder: the folder.
        number: of the change, from 1: a file opened for writing, renamed or removed.
        what: is done.
        spared: this process itself, and not its forks.
    """

    folder: Path
    number: int
    what: Callable[[], object]
    spared: bool = False
    _here: int = 0

    def __call__(self) -> None:
        """Watch this process."""
        self._here = os.getpid() if self.spared else 0
        sys.addaudithook(self._watch)

    def _watch(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove") or self.number < 1:
            return
        if os.getpid() == self._here:
            return
        writes = event != "open" or args[2] & (os.O_WRONLY | os.O_RDWR)
        if writes and str(args[0]).startswith(str(self.folder)):
            self.number -= 1
            if not self.number:
                self.what()


def die() -> None:
    """End this process as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


def freeze() -> None:
    """Stop this process, threads and all."""
    os.kill(os.getpid(), signal.SIGSTOP)


def hold_python() -> None:
    """Wait in a library's code without letting any other thread of Python run."""
    ctypes.PyDLL(None).sleep(600)


def limit_files(most: int) -> None:
    """Let no file grow beyond some bytes: a full disk that anybody can make."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))


def limit_memory(more: int) -> None:
    """Let this process and its workers have no more bytes than it has, and `more`."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def fill_disk(disk: Path, left: int) -> None:
    """Fill a disk but for some bytes, by one large file."""
    free = shutil.disk_usage(disk).free
    with (disk / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - left))


def drop_rights() -> None:
    """Let permission bits count for root as they do for everybody else."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_SECUREBITS, NOROOT, 0, 0, 0)  # for the workers
        version = (ctypes.c_uint32 * 2)(0x20080522, 0)
        assert libc.capset(version, (ctypes.c_uint32 * 6)()) == 0


def fork_workers() -> None:
    """Let workers be forks of this process, with all that it has loaded.

    That spares most of a trial's time; the true start is tried with datasets.
    """
    context = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda _: context  # type: ignore


@contextmanager
def small_disk(folder: Path, size: str = "64m") -> Iterator[Path]:
    """Mount a disk of its own at a new folder; skip the test where one may not."""
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(line, check=False).returncode:
        pytest.skip("mounting isn't permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(disk: Path, option: str) -> None:
    """Change a disk: `ro`, `rw`, `nr_inodes=9`."""
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True)
