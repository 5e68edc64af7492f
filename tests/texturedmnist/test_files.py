import errno
import hashlib
import signal
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.faults.breaking import AtChange, die
from tests.faults.commands import contents
from texturedmnist.common.digest import DigestError, with_digest, without_digest
from texturedmnist.common.files import (
    WriteError,
    check_digest,
    clear_temporaries,
    digest_path,
    temporary_name,
    write_atomically,
    write_error,
)


def test_a_file_has_its_digest_beside_it_as_sha256sum_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for content in (b"first", b"second"):
        write_atomically(path, content, digest=True)
        digest = hashlib.sha256(content).hexdigest()
        assert digest_path(path).read_text() == f"{digest}  a.bin\n"
        check_digest(path)
    digest_path(path).unlink()  # as an earlier release wrote none
    check_digest(path)


@pytest.mark.parametrize("name", ["a.bin", "a.bin.sha256"])
def test_a_changed_file_or_digest_is_found(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"content", digest=True)
    changed = bytearray((tmp_path / name).read_bytes())
    changed[3] ^= 1
    (tmp_path / name).write_bytes(changed)
    with pytest.raises(DigestError, match=r"a.bin doesn't fit a.bin.sha256 beside it"):
        check_digest(path)


def write_new(path: Path, change: int) -> None:
    AtChange(path.parent, change, die)()
    write_atomically(path, b"new", digest=True)


@pytest.mark.parametrize("beside", [True, False])
def test_a_writer_killed_before_any_change_leaves_a_file_that_its_digest_fits(
    beside: bool, tmp_path: Path
) -> None:
    path, codes = tmp_path / "a.bin", [-signal.SIGKILL]
    while codes[-1] == -signal.SIGKILL:
        write_atomically(path, b"old", digest=True)
        if not beside:
            digest_path(path).unlink()
        args = (path, len(codes))
        child = get_context("fork").Process(target=write_new, args=args)
        child.start()
        child.join()
        codes.append(child.exitcode or 0)
        assert path.read_bytes() in (b"old", b"new")
        check_digest(path)
        clear_temporaries(tmp_path)
        assert {one.name for one in tmp_path.iterdir()} <= {"a.bin", "a.bin.sha256"}
        write_atomically(path, b"newest", digest=True)
        check_digest(path)
        assert len(digest_path(path).read_text().splitlines()) == 1
    assert codes[-1] == 0
    assert len(codes) > 4


def test_the_fields_of_a_json_object_are_held_against_their_digest() -> None:
    fields = {"a": 1 / 3, "b": (1, 2), "c": None, "é": {"d": "1"}}
    sealed = with_digest(fields, "x.json")
    assert [*sealed][-1] == "sha256"
    assert without_digest(sealed, "x.json", "x") == fields
    assert without_digest({"a": 1}, "x.json", "x") == {"a": 1}  # of earlier releases
    with pytest.raises(DigestError, match=r"^here was damaged or changed since"):
        without_digest({**sealed, "a": 0.3}, "x.json", "here")
    with pytest.raises(DigestError, match="was damaged or changed since"):
        without_digest(sealed, "y.json", "y")


def test_a_file_appears_atomically(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, [b"fi", b"rst"])

    def pieces() -> Iterator[bytes]:
        yield b"sec"
        assert len(list(tmp_path.iterdir())) == 2
        raise OSError(errno.ENOSPC, "no room")

    with pytest.raises(WriteError, match="No space left on device"):
        write_atomically(path, pieces())
    assert contents(tmp_path) == {"file": b"first"}


def test_no_two_temporary_names_are_the_same(tmp_path: Path) -> None:
    """Nor on two machines that share a disk, whose processes can have one number."""
    names = {temporary_name(tmp_path / "file").name for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(".file.") and name.endswith(".tmp") for name in names)


def test_a_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteError, match=r"can't write .*/file/x: .*finished files"):
        write_atomically(tmp_path / "file" / "x", b"")


FULL = "No space left on device"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "whatever"), FULL),
        (OSError("Can't write (errno = 28, error message = 'No space left')"), FULL),
        (RuntimeError("Can't decrement id (write failed: errno = 28, ...)"), FULL),
        (RuntimeError("odd\n"), "odd"),
        (RuntimeError(), ""),
    ],
)
def test_a_full_disk_is_called_that_however_told(error: Exception, text: str) -> None:
    told = str(write_error(Path("x"), error))
    assert told.startswith(f"can't write x: {text}; finished files")
