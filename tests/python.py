"""Python in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_python(
    *words: object,
    folder: Path = ROOT,
    given: str = "",
    code: int | None = 0,
    env: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run Python, which finds this tree, in a folder; check its exit code.

    Args:
        words: of its command line.
        folder: where it works.
        given: on standard input.
        code: that it must end with; None: with any.
        env: what its environment has beside this process's.
        seconds: after which it hangs.
    """
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert code in (None, done.returncode), done.stderr
    return done
