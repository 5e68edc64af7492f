import errno
import hashlib
import mmap
import shutil
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import h5py
import numpy as np
import pytest

from tests.python import run_python
from tests.texturedmnist.conftest import Planner
from texturedmnist.common.files import WriteError
from texturedmnist.generate import run_build
from texturedmnist.manifest import (
    DatasetError,
    UnreadableError,
    VersionError,
    read_manifest,
    unreadable,
)
from texturedmnist.plan import plan_samples
from texturedmnist.shards import (
    COLUMNS,
    ShardHeader,
    ShardSpec,
    map_pixels,
    read_columns,
    read_header,
    read_label,
    read_names,
    recheck_shard,
    write_shard,
)

SHARD = "train-00000-of-00002.h5"


def recheck(path: Path, split: str = "train", start: int = 0) -> None:
    identity = read_manifest(path.parent).identity
    recheck_shard(path, ShardSpec(split, 0, 2, start, 50), identity, lambda _: None)


def test_columns_are_those_of_the_plan(finished: Path, plan: Planner) -> None:
    build, manifest = plan(finished), read_manifest(finished)
    for split, count in build.recipe.counts().items():
        indices = np.arange(count)
        samples = plan_samples(build.recipe, build.sources.index, split, indices)
        columns = read_columns(finished, manifest, split)
        for name, values in samples.columns().items():
            assert np.array_equal(columns[name], values)
            assert columns[name].dtype == COLUMNS[name]


def test_a_shard_opens_in_plain_h5py(finished: Path) -> None:
    manifest = read_manifest(finished)
    with h5py.File(finished / SHARD) as file:
        assert {n: file.attrs[n] for n in file.attrs} == {
            "format_version": 1,
            "package_version": manifest.package_version,
            "identity": manifest.identity,
            "split": "train",
            "shard": 0,
        }
        assert file["image"].shape == (50, 28, 28, 3)
        assert file["image"].chunks is None
        assert set(np.unique(file["mask"])) == {0, 1}
        columns = (file[name][()] for name in ("image", "mask", *COLUMNS))
        digests = [
            hashlib.sha256(b"".join(value.tobytes() for value in row)).digest()
            for row in zip(*columns, strict=True)
        ]
        assert [d.tobytes() for d in file["sample_digest"]] == digests
    entry = manifest.shards[0]
    assert entry.digest == hashlib.sha256(b"".join(digests)).hexdigest()
    assert (finished / SHARD).stat().st_size == entry.bytes
    assert hashlib.sha256((finished / SHARD).read_bytes()).hexdigest() == entry.sha256


@pytest.mark.parametrize("step", [1999, pytest.param(41, marks=pytest.mark.slow)])
def test_damage_anywhere_raises_only_our_errors(dataset: Path, step: int) -> None:
    path = dataset / SHARD
    good = path.read_bytes()
    for place in range(0, len(good), step):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        path.write_bytes(bad)
        with suppress(DatasetError):
            read_header(path)
            recheck(path)


def test_another_version_or_a_lack_is_named(dataset: Path) -> None:
    with h5py.File(dataset / SHARD, "r+") as file:
        del file["mask"], file["plan/bg_draw"]
    with pytest.raises(DatasetError, match=r"train-0.* lacks plan/bg_draw, mask; run"):
        map_pixels(dataset / SHARD)
    with h5py.File(dataset / SHARD, "r+") as file:
        file.attrs.modify("format_version", 2)
    with pytest.raises(VersionError, match=r"train-0.* has format version 2; this"):
        read_label(dataset / SHARD)


def test_a_shard_in_the_wrong_place_is_reported(dataset: Path) -> None:
    path = dataset / SHARD
    text = r"train-0.* doesn't hold samples 50 to 99 of train"
    with pytest.raises(DatasetError, match=text):
        recheck(path, start=50)
    with pytest.raises(DatasetError, match="doesn't hold samples 0 to 49 of val"):
        recheck(path, split="val")
    with pytest.raises(DatasetError, match=r"train-0.* belongs to another dataset"):
        recheck_shard(path, ShardSpec("train", 0, 2, 0, 50), "other", print)


def test_a_failed_write_leaves_nothing(finished: Path, tmp_path: Path) -> None:
    manifest = read_manifest(finished)
    columns = read_columns(finished, manifest, "val")
    images, masks = map_pixels(finished / "val-00000-of-00001.h5")
    header = ShardHeader("id", "0", "{}", read_names(finished / SHARD))
    place = ShardSpec("val", 0, 1, 0, 20)

    def write(folder: Path) -> None:
        batches = ((images, masks) for _ in range(1))
        write_shard(folder, place, header, columns, batches, image_size=28)

    write(tmp_path)
    recheck_shard(tmp_path / place.file, place, "id", lambda _: None)
    with pytest.raises(WriteError, match=r"can't write .*absent/val-0.*: No such file"):
        write(tmp_path / "absent")
    shutil.rmtree(tmp_path)
    with pytest.raises(WriteError, match="No such file or directory; finished files"):
        write(tmp_path)
    assert not tmp_path.exists()


def test_a_limit_of_memory_is_reported(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = Mock(side_effect=OSError(errno.ENOMEM, "whatever"))
    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(UnreadableError, match="cannot allocate memory; raise the lim"):
        map_pixels(finished / SHARD)


OPEN = """
import sys
from pathlib import Path
from texturedmnist.manifest import DatasetError
from texturedmnist.shards import read_label
path, start, end = Path(sys.argv[1]), *map(int, sys.argv[2:])
content = path.read_bytes()
for position in range(start, end, 64):
    path.write_bytes(content[:position] + bytes(512) + content[position + 512:])
    try:
        read_label(path)
    except DatasetError as error:
        print(str(error).partition(".h5 ")[2])
"""


def test_zeros_among_the_strings_are_refused_and_not_read_for_ever(
    dataset: Path,
) -> None:
    heap = (dataset / SHARD).read_bytes().index(b"GCOL")
    ended = run_python("-c", OPEN, dataset / SHARD, heap, heap + 4096, seconds=60)
    errors = ended.stdout.splitlines()
    assert len(errors) > 20
    assert sum(error.startswith("has damaged strings; run the") for error in errors) > 5


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES])
def test_a_shard_that_cannot_be_read_now_is_kept(
    plan: Planner, dataset: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    build = plan(dataset)
    before = (dataset / SHARD).read_bytes()

    def refuse(path: Path, *_: object) -> None:
        raise unreadable(path, OSError(number, "whatever"))

    for module in ("generate.make.recheck_shard", "generate.folder.read_label"):
        with monkeypatch.context() as patch:
            patch.setattr(f"texturedmnist.{module}", refuse)
            with pytest.raises(UnreadableError, match=r"can't read .*-0.*h5: "):
                run_build(build)
    assert (dataset / SHARD).read_bytes() == before
