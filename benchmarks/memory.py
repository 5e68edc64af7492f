"""Peak unshared memory of a command, summed over its processes (Linux)."""

import subprocess
import time
from contextlib import suppress
from pathlib import Path

POLL_SECONDS = 0.02


def peak_memory(process: subprocess.Popen[bytes]) -> int:
    """Watch a command that leads its own session until it ends.

    Counted is `Anonymous` of /proc/PID/smaps_rollup: pages that no file backs. Pages
    of mapped files (the texture cache, libraries) can be dropped at any time and
    aren't counted.

    Returns:
        The largest sum in bytes over the processes at one moment.
    """
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(_anonymous_bytes, _session(process.pid))))
        time.sleep(POLL_SECONDS)
    return peak


def own_memory() -> int:
    """Return the unshared memory of this process in bytes."""
    return _anonymous_bytes(Path("/proc/self"))


def _session(leader: int) -> list[Path]:
    """Return the /proc folders of a session's processes."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended in between
            after_name = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(after_name[3]) == leader:
                found.append(stat.parent)
    return found


def _anonymous_bytes(process: Path) -> int:
    with suppress(OSError):
        rollup = (process / "smaps_rollup").read_text(encoding="utf-8")
        for line in rollup.splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024
    return 0
