import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import pytest

from tests.faults.commands import contents
from tests.texturedmnist.conftest import Planner
from tests.texturedmnist.tree import edit_manifest, flip
from texturedmnist import TexturedMNIST
from texturedmnist.generate import describe_check, repair, run_build, verify
from texturedmnist.manifest import (
    MANIFEST_NAME,
    DatasetError,
    read_manifest,
    seal,
    write_manifest,
)

SHARD = "train-00001-of-00002.h5"
BROKEN = ("train-00001-of-00002.h5", "test-00000-of-00001.h5")


def where(path: Path, name: str) -> int:
    with h5py.File(path) as file:
        return int(file[name].id.get_offset())


@pytest.mark.parametrize(
    ("name", "jobs"),
    [("image", 2), ("mask", 1), ("plan/digit_y", 1), ("plan/bg_draw", 1)],
)
def test_a_flipped_bit_is_found_and_placed(dataset: Path, name: str, jobs: int) -> None:
    flip(dataset / SHARD, where(dataset / SHARD, name) + 1)
    (problem,) = verify(dataset, jobs=jobs)
    text = "the bytes of sample 50 don't match their digest: the file was changed"
    assert problem.startswith(f"{dataset / SHARD}: {text}")


def test_a_flipped_bit_in_a_header_is_found(dataset: Path) -> None:
    path = dataset / SHARD
    place = path.read_bytes().index(b"package_version") + 40
    flip(path, place)
    (problem,) = verify(dataset)
    assert problem.startswith(f"{path} ")
    flip(path, place)
    flip(path, 0)
    for quick in (False, True):
        (problem,) = verify(dataset, quick=quick)
        assert problem.startswith(f"{path} can't be read: ")


@pytest.mark.parametrize("quick", [False, True])
def test_shards_cut_gone_grown_or_foreign_are_named(dataset: Path, quick: bool) -> None:
    cut, gone, grown, foreign = sorted(dataset.glob("*.h5"))
    cut.write_bytes(cut.read_bytes()[:-100])
    gone.unlink()
    grown.write_bytes(grown.read_bytes() + b"x")
    with h5py.File(foreign, "r+") as file:
        del file.attrs["format_version"]
    found = sorted(verify(dataset, quick=quick))
    assert len(found) == 4
    assert found[0].startswith(f"{cut} can't be read: ")
    assert found[1].startswith(f"{gone} is missing; run the same")
    assert f"{grown} has " in found[2]
    assert found[3].startswith(
        f"{foreign} has no format version: it isn't a Textured M"
    )


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("samples.csv", "run the same"),
        ("README.md", "'texturedmnist card' writes"),
        ("croissant.json", "'texturedmnist card' writes"),
        ("preview.png", "'texturedmnist preview' writes"),
    ],
)
@pytest.mark.parametrize("quick", [False, True])
def test_a_changed_or_missing_file_is_found(
    dataset: Path, name: str, advice: str, quick: bool
) -> None:
    path = dataset / name
    flip(path, 300)
    (problem,) = verify(dataset, quick=quick)
    assert problem.startswith(f"{path} was changed; {advice}")
    path.unlink()
    (problem,) = verify(dataset, quick=quick)
    assert problem.startswith(f"{path} is missing; run")


def test_edited_digests_are_found(dataset: Path) -> None:
    good = read_manifest(dataset).splits["val"].digest
    edit_manifest(
        dataset, lambda m: m["splits"]["val"].update(digest=good[::-1]), seals=True
    )
    (problem,) = verify(dataset)
    assert problem.startswith("the digest of val isn't the manifest's; ")
    edit_manifest(dataset, lambda m: m["shards"][1].update(sha256="0" * 64), seals=True)
    assert verify(dataset, quick=True) == (problem,)
    first, second = verify(dataset)
    assert first.startswith(f"{dataset / SHARD} isn't the manifest's; run")
    assert second == problem
    edit_manifest(dataset, lambda m: m["shards"][1].update(digest="0" * 64), seals=True)
    for quick in (False, True):
        first, _ = verify(dataset, quick=quick)
        assert "has other digests of samples than the manifest; run" in first


def test_an_edited_identity_is_found(dataset: Path) -> None:
    edit_manifest(dataset, lambda m: m.update(identity="0" * 64), seals=True)
    first, *others = verify(dataset)
    assert first.startswith(f"{dataset / MANIFEST_NAME}: its recipe or sources were")
    assert "belongs to another dataset" in others[0]


def test_a_manifest_with_another_recipe_is_found(dataset: Path) -> None:
    edit_manifest(dataset, lambda fields: fields["recipe"].update(bg=0.75), seals=True)
    first, *others = verify(dataset, quick=True)
    assert first.startswith(f"{dataset / MANIFEST_NAME}: its recipe or sources were")
    assert len(others) == 4
    assert "has another recipe than the manifest" in others[0]


def test_a_manifest_without_digests_is_held_against_the_shards(dataset: Path) -> None:
    """As such manifests are: only a table's digest, none of their own."""
    edit_manifest(
        dataset, lambda m: m.update(files={"samples.csv": m["files"]["samples.csv"]})
    )
    assert verify(dataset) == ()
    assert len(TexturedMNIST(dataset)) == 60
    edit_manifest(dataset, lambda fields: fields["digit_texture_classes"].reverse())
    found = verify(dataset, quick=True)
    assert len(found) == 4
    assert "has other names of digit_texture classes than the manifest; " in found[0]
    with pytest.raises(DatasetError, match="has other names of digit_texture classes"):
        TexturedMNIST(dataset)


def test_deep_is_a_deprecated_name(dataset: Path) -> None:
    flip(dataset / SHARD, where(dataset / SHARD, "image"))
    for deep, problems in ((True, 1), (False, 0)):
        with pytest.warns(DeprecationWarning, match=r"verify reads every byte; quick="):
            assert len(verify(dataset, deep=deep)) == problems


def test_what_is_not_covered_is_said(finished: Path) -> None:
    old = read_manifest(finished).model_copy(update={"digest": None})
    first, second, _ = describe_check(old, quick=True)
    assert first.startswith("manifest.json: no digest of its own (written by an older")
    assert second == "4 shards: sizes, headers and layout"


@pytest.mark.parametrize("locking", [None, False])
def test_a_shard_open_elsewhere_is_read(dataset: Path, locking: bool | None) -> None:
    with h5py.File(dataset / SHARD, "r", locking=locking):
        assert verify(dataset) == ()


def break_two(folder: Path) -> dict[str, int]:
    """Flip a bit of one shard, delete another; return the times of the rest."""
    first, second = (folder / name for name in BROKEN)
    flip(first)
    second.unlink()
    paths = [path for path in folder.glob("[!.]*") if path.name not in BROKEN]
    for path in paths:
        os.utime(path, ns=(1, 1))
    return {path.name: path.stat().st_mtime_ns for path in paths}


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_exactly_the_broken_shards_are_made_again(
    plan: Planner, place: Path, tmp_path: Path, compression: str
) -> None:
    out = tmp_path / "tm"
    run_build(plan(out, compression=compression))
    before = contents(out)
    others = break_two(out)
    where: dict[str, Any] = {
        "textures": str(place / "textures"),
        "cache_dir": place / "cache",
    }
    assert repair(out, **where) == BROKEN
    assert contents(out) == before
    assert {name: (out / name).stat().st_mtime_ns for name in others} == others
    assert repair(out, **where) == ()


def test_without_its_sources_nothing_is_made(
    dataset: Path, place: Path, tmp_path: Path
) -> None:
    break_two(dataset)
    before = contents(dataset)
    with pytest.raises(DatasetError, match=r"was made from a folder .*--textures"):
        repair(dataset, cache_dir=place / "cache")
    shutil.copytree(place / "textures", tmp_path / "other")
    one, two, *_ = sorted((tmp_path / "other" / "class_00").iterdir())
    shutil.copy(one, two)
    with pytest.raises(DatasetError, match="was made from other sources, or by anoth"):
        repair(dataset, textures=str(tmp_path / "other"), cache_dir=place / "cache")
    assert contents(dataset) == before


def test_a_shard_of_equal_samples_is_entered(dataset: Path, place: Path) -> None:
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
