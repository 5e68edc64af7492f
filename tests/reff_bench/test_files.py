import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reff_bench.files import (
    DigestError,
    check_digest,
    clear_temporaries,
    digest_path,
    with_digest,
    without_digest,
    write_with_digest,
)


def test_a_file_has_its_digest_beside_it_as_sha256sum_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for content in (b"first", b"second"):
        write_with_digest(path, content)
        digest = hashlib.sha256(content).hexdigest()
        assert digest_path(path).read_text() == f"{digest}  a.bin\n"
        check_digest(path)


@pytest.mark.parametrize("name", ["a.bin", "a.bin.sha256"])
def test_a_changed_file_or_digest_is_found(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_with_digest(path, b"content")
    changed = bytearray((tmp_path / name).read_bytes())
    changed[3] ^= 1
    (tmp_path / name).write_bytes(changed)
    with pytest.raises(DigestError, match=r"a.bin doesn't fit a.bin.sha256 beside it"):
        check_digest(path)


def test_a_file_of_an_earlier_release_has_no_digest_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    check_digest(path)


KILL = """
import os, signal, sys
from pathlib import Path
from reff_bench import files
path, after = Path(sys.argv[1]), int(sys.argv[2])
replace, seen = Path.replace, []

def replace_or_die(one, other):
    if len(seen) == after:
        os.kill(os.getpid(), signal.SIGKILL)
    seen.append(one)
    return replace(one, other)

Path.replace = replace_or_die
files.write_with_digest(path, b"new")
"""


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_writer_killed_at_any_moment_leaves_a_file_that_its_digest_fits(
    after: int, beside: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.bin"
    write_with_digest(path, b"old")
    if not beside:
        digest_path(path).unlink()
    command = [sys.executable, "-c", KILL, str(path), str(after)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == (b"new" if after == 2 else b"old")
    check_digest(path)
    clear_temporaries(tmp_path)
    assert {one.name for one in tmp_path.iterdir()} <= {"a.bin", "a.bin.sha256"}
    write_with_digest(path, b"newest")
    check_digest(path)
    assert len(digest_path(path).read_text().splitlines()) == 1


def test_the_fields_of_a_json_object_are_held_against_their_digest() -> None:
    fields = {"a": 1 / 3, "b": (1, 2), "c": None, "é": {"d": "1"}}
    sealed = with_digest(fields, "x.json")
    assert [*sealed][-1] == "sha256"
    assert without_digest(sealed, Path("x.json")) == fields
    assert without_digest({"a": 1}, Path("x.json")) == {"a": 1}  # of earlier releases
    with pytest.raises(DigestError, match=r"x\.json was damaged or changed since"):
        without_digest({**sealed, "a": 0.3}, Path("x.json"))
    with pytest.raises(DigestError, match=r"y\.json was damaged or changed since"):
        without_digest(sealed, Path("y.json"))
