import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.texturedmnist.conftest import Planner
from texturedmnist.generate import repair, run_build, verify
from texturedmnist.manifest import DatasetError, read_manifest, seal, write_manifest

SHARDS = ("train-00001-of-00002.h5", "test-00000-of-00001.h5")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")}


def break_two(folder: Path) -> dict[str, int]:
    """Flip a bit of one shard, delete another; return the times of the rest."""
    first, second = (folder / name for name in SHARDS)
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(data)
    second.unlink()
    paths = [path for path in folder.glob("[!.]*") if path.name not in SHARDS]
    for path in paths:
        os.utime(path, ns=(1, 1))
    return {path.name: path.stat().st_mtime_ns for path in paths}


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_exactly_the_broken_shards_are_made_again(
    plan: Planner, place: Path, tmp_path: Path, compression: str
) -> None:
    out = tmp_path / "tm"
    run_build(plan(out, compression=compression))
    before = content(out)
    others = break_two(out)
    where: dict[str, Any] = {
        "textures": str(place / "textures"),
        "cache_dir": place / "cache",
    }
    assert repair(out, **where) == SHARDS
    assert content(out) == before
    assert {name: (out / name).stat().st_mtime_ns for name in others} == others
    assert repair(out, **where) == ()


def test_without_its_sources_nothing_is_made(
    dataset: Path, place: Path, tmp_path: Path
) -> None:
    break_two(dataset)
    before = content(dataset)
    with pytest.raises(DatasetError, match=r"was made from a folder .*--textures"):
        repair(dataset, cache_dir=place / "cache")
    shutil.copytree(place / "textures", tmp_path / "other")
    one, two, *_ = sorted((tmp_path / "other" / "class_00").iterdir())
    shutil.copy(one, two)
    with pytest.raises(DatasetError, match="was made from other sources, or by anoth"):
        repair(dataset, textures=str(tmp_path / "other"), cache_dir=place / "cache")
    assert content(dataset) == before


def test_a_shard_of_other_bytes_and_the_same_samples_gets_into_the_manifest(
    dataset: Path, place: Path
) -> None:
    """As another version of HDF5 would write it."""
    manifest = read_manifest(dataset)
    first, *rest = manifest.shards
    other = first.model_copy(update={"bytes": first.bytes + 8, "sha256": "0" * 64})
    update = {"shards": (other, *rest)}
    write_manifest(dataset, seal(manifest.model_copy(update=update)))
    made = repair(dataset, textures=str(place / "textures"), cache_dir=place / "cache")
    assert made == (first.file,)
    assert read_manifest(dataset).shards == manifest.shards
    assert verify(dataset) == ()
