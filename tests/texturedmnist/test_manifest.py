import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from texturedmnist.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    DatasetError,
    VersionError,
    WriteError,
    check_version,
    read_manifest,
    temporary_name,
    write_atomically,
    write_error,
    write_manifest,
)


def test_a_manifest_is_read_as_it_was_written(finished: Path, tmp_path: Path) -> None:
    manifest = read_manifest(finished)
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    name = MANIFEST_NAME
    assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208 (no hidden file is left)


def test_every_field_of_the_manifest_is_filled(finished: Path) -> None:
    manifest = read_manifest(finished)
    assert manifest.format_version == FORMAT_VERSION
    assert all(manifest.model_dump().values())
    assert {n: s.count for n, s in manifest.splits.items()} == {
        "train": 60,
        "val": 20,
        "test": 20,
    }
    assert all(sum(s.groups.values()) == s.count for s in manifest.splits.values())
    assert set(manifest.sources) == {
        *("digits", "digit_textures", "background_textures")
    }
    assert str(finished.parent) not in (finished / MANIFEST_NAME).read_text()


def test_a_split_that_is_not_there_is_told(finished: Path) -> None:
    with pytest.raises(DatasetError, match=r"no split 'tset' .* train, val, test$"):
        read_manifest(finished).shards_of("tset")


def test_a_missing_folder_and_an_unfinished_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"no dataset folder .*absent; make one with"
    ):
        read_manifest(tmp_path / "absent")
    with pytest.raises(DatasetError, match=r"has no manifest\.json: .*to finish it"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[1, 2]", b"null", b"7"],
    ids=["empty", "cut", "binary", "list", "null", "number"],
)
def test_garbage_is_not_a_manifest(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(DatasetError, match=r"manifest\.json is not valid JSON; run"):
        read_manifest(tmp_path)


def test_a_wrong_field_is_named(dataset: Path) -> None:
    path = dataset / MANIFEST_NAME
    fields = json.loads(path.read_text())
    fields["shards"][1]["count"] = "many"
    path.write_text(json.dumps(fields))
    with pytest.raises(DatasetError, match=r"manifest\.json: shards\.1\.count: Input"):
        read_manifest(dataset)
    del fields["shards"]
    path.write_text(json.dumps(fields))
    with pytest.raises(DatasetError, match=r"manifest\.json: shards: Field required"):
        read_manifest(dataset)


@pytest.mark.parametrize("version", [2, 0, "1"])
def test_another_format_version_is_refused(version: object) -> None:
    text = f"x has format version {version}; .* reads version 1: install a newer"
    with pytest.raises(VersionError, match=text):
        check_version(version, Path("x"))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, [b"fi", b"rst"])

    def pieces() -> Iterator[bytes]:
        yield b"sec"
        assert len(list(tmp_path.iterdir())) == 2
        raise OSError(errno.ENOSPC, "no room")

    with pytest.raises(WriteError, match="No space left on device"):
        write_atomically(path, pieces())
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [
        ("file", b"first")
    ]


def test_no_two_temporary_names_are_the_same(tmp_path: Path) -> None:
    """Nor on two machines that share a disk, whose processes can have one number."""
    names = {temporary_name(tmp_path / "file").name for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(".file.") and name.endswith(".tmp") for name in names)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"can't write .*/absent/file: No such file"):
        write_atomically(tmp_path / "absent" / "file", b"")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "whatever"),
        OSError("Can't write (errno = 28, error message = 'No space left')"),
        RuntimeError("Can't decrement id (file write failed: errno = 28, ...)"),
    ],
)
def test_a_full_disk_is_called_that_however_it_is_reported(error: Exception) -> None:
    text = str(write_error(Path("x"), error))
    assert text.startswith("can't write x: No space left on device; finished files")


def test_an_error_without_a_number_keeps_its_text() -> None:
    assert "can't write x: odd; " in str(write_error(Path("x"), RuntimeError("odd\n")))
    assert "can't write x: ; fin" in str(write_error(Path("x"), RuntimeError()))
