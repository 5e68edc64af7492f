import errno
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from tests.texturedmnist.tree import EMBEDDED, edit_manifest
from texturedmnist.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    DatasetError,
    UnreadableError,
    VersionError,
    check_file,
    check_version,
    read_manifest,
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
    assert all(manifest.model_dump(exclude={"repeats"}).values())
    assert "repeats" not in json.loads((finished / MANIFEST_NAME).read_text())
    counts = {name: split.count for name, split in manifest.splits.items()}
    assert counts == {"train": 60, "val": 20, "test": 20}
    assert all(sum(s.groups.values()) == s.count for s in manifest.splits.values())
    assert manifest.sources.keys() == EMBEDDED.keys()
    assert str(finished.parent) not in (finished / MANIFEST_NAME).read_text()
    with pytest.raises(DatasetError, match=r"no split 'tset' .* train, val, test$"):
        manifest.shards_of("tset")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"\xff\xfe", b"[1, 2]", b"null", b"7"),
        *(b"[" * 100_000, b'{"format_version": ' + b"9" * 5_000 + b"}"),
    ],
    ids=["empty", "cut", "binary", "list", "null", "number", "deep", "long"],
)
def test_absurd_json_is_not_a_manifest(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(DatasetError, match=r"manifest\.json is not valid JSON.*; run"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("version", [2, 0, "1"])
def test_another_format_version_is_refused(version: object) -> None:
    text = f"x has format version {version!r}; .* reads version 1: install a newer"
    with pytest.raises(VersionError, match=text):
        check_version(version, Path("x"))


def set_shard(fields: dict[str, Any], change: tuple[str, object]) -> None:
    fields["shards"][1].update([change])


# What is said of a manifest, and the change that it is said of: first of a shard.
SHARD = {
    "it has shards of other splits": ("split", "elsewhere"),
    "shard 1 of train isn't train-00001-of-00002.h5": ("number", 7),
    "the manifest's shards of train don't add up": ("count", 9),
    r"shards\.1\.file = .* is not allowed: '../x.h5' is no plain": ("file", "../x.h5"),
    r"shards\.1\.file = '/x' is not allowed: '/x' is no plain name": ("file", "/x"),
    "shard 1 of train isn't": ("file", "train-00000-of-00002.h5"),
    r"shards\.1\.sha256 = 'x' is not allowed: 'x' is no sha256": ("sha256", "x"),
    r"manifest\.json: shards\.1\.count = 'many' is not allowed: Input": (
        *("count", "many"),
    ),
    r"shards\.1\.bytes = -1 is not allowed: Input should be greater": ("bytes", -1),
}
CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "its recipe lacks bg, tex, test_bg,": lambda m: m.update(recipe={}),
    "its recipe: .*image_size": lambda m: m["recipe"].update(image_size="large"),
    "its recipe lacks ties; run": lambda m: m["recipe"].pop("ties"),
    "its splits aren't those of its recipe": lambda m: m.update(splits={}),
    "its files lack samples.csv": lambda m: m.update(files={}),
    r"manifest\.json: shards: Field required": lambda m: m.pop("shards"),
    r"files\.\.\./x.*no plain name": lambda m: m["files"].update({"../x": "0" * 64}),
    r"digit_texture_classes\.0 = '..' is not allowed: '..' is no": lambda m: m.update(
        digit_texture_classes=[".."]
    ),
    "renamed: Extra inputs": lambda m: m.update(renamed=m["splits"]),
    **{text: partial(set_shard, change=change) for text, change in SHARD.items()},
}


@pytest.mark.parametrize("text", CHANGES)
def test_a_manifest_that_contradicts_itself_is_refused(
    dataset: Path, text: str
) -> None:
    edit_manifest(dataset, CHANGES[text])
    with pytest.raises(DatasetError, match=text) as caught:
        read_manifest(dataset)
    assert "\n" not in str(caught.value)


def test_a_manifest_without_a_digest_is_read(dataset: Path) -> None:
    before = read_manifest(dataset)
    edit_manifest(dataset, lambda _: None)
    manifest = read_manifest(dataset)
    assert manifest == before.model_copy(update={"digest": None})
    write_manifest(dataset, manifest)
    assert read_manifest(dataset) == manifest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"bg": 0.2', '"bg": 0.3'),
        ("class_00", "class_0O"),
        ('"python": "3', '"python": "4'),
    ],
)
def test_a_changed_manifest_does_not_match_its_digest(
    dataset: Path, old: str, new: str
) -> None:
    path = dataset / MANIFEST_NAME
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DatasetError, match="doesn't match its own digest: it was cha"):
        read_manifest(dataset)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EACCES, "can't read .*/x: permission denied$"),
        (errno.EMFILE, "can't read .*/x: too many open files; raise the limit of"),
        (errno.ENOSPC, "can't read .*/x: no space left on device$"),
        (errno.EIO, "can't read .*/x: input/output error$"),
    ],
)
def test_a_fault_of_the_machine_is_not_one_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    monkeypatch.setattr(os, "open", Mock(side_effect=OSError(number, "whatever")))
    with pytest.raises(UnreadableError, match=text):
        check_file(tmp_path / "x")
