import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from tests.texturedmnist.conftest import Planner
from texturedmnist.build import run_build, verify
from texturedmnist.manifest import MANIFEST_NAME, DatasetError, read_manifest

SHARD = "train-00001-of-00002.h5"


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / MANIFEST_NAME
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)


def where(path: Path, name: str) -> int:
    with h5py.File(path) as file:
        return int(file[name].id.get_offset())


@pytest.mark.parametrize("jobs", [1, 2])
def test_nothing_is_wrong_with_what_was_just_made(finished: Path, jobs: int) -> None:
    assert verify(finished) == ()
    assert verify(finished, deep=True, jobs=jobs) == ()


@pytest.mark.parametrize("name", ["image", "mask", "label", "plan/bg_draw"])
def test_one_flipped_bit_is_found_and_placed(dataset: Path, name: str) -> None:
    flip(dataset / SHARD, where(dataset / SHARD, name))
    assert verify(dataset) == ()
    (problem,) = verify(dataset, deep=True, jobs=2)
    assert problem.startswith(f"{dataset / SHARD}: the bytes of sample 50 don't match")


def test_a_flipped_bit_in_a_header_is_found(dataset: Path) -> None:
    path = dataset / SHARD
    place = path.read_bytes().index(b"package_version") + 40
    flip(path, place)
    (problem,) = verify(dataset, deep=True)
    assert problem.startswith(f"{path} ")
    flip(path, place)
    flip(path, 0)
    for deep in (False, True):
        (problem,) = verify(dataset, deep=deep)
        assert problem.startswith(f"{path} can't be read: ")


@pytest.mark.parametrize("deep", [False, True])
def test_shards_cut_missing_grown_or_newer_are_all_named(
    dataset: Path, deep: bool
) -> None:
    cut, gone, grown, newer = sorted(dataset.glob("*.h5"))
    cut.write_bytes(cut.read_bytes()[:-100])
    gone.unlink()
    grown.write_bytes(grown.read_bytes() + b"x")
    with h5py.File(newer, "r+") as file:
        file.attrs.modify("format_version", 2)
    found = sorted(verify(dataset, deep=deep))
    assert len(found) == 4
    assert found[0].startswith(f"{cut} can't be read: ")
    assert found[1].startswith(f"{gone} is missing; run the same")
    assert f"{grown} has " in found[2]
    assert found[3].startswith(f"{newer} has format version 2")


def test_a_shard_of_another_dataset_is_found(
    dataset: Path, plan: Planner, tmp_path: Path
) -> None:
    run_build(plan(tmp_path / "other", bg=0.3))
    shutil.copy(tmp_path / "other" / SHARD, dataset / SHARD)
    (problem,) = verify(dataset)
    assert problem.startswith(f"{dataset / SHARD} belongs to another dataset; run")


def test_two_shards_that_changed_places_are_found(dataset: Path) -> None:
    val, test = dataset / "val-00000-of-00001.h5", dataset / "test-00000-of-00001.h5"
    data = val.read_bytes(), test.read_bytes()
    test.write_bytes(data[0])
    val.write_bytes(data[1])
    found = verify(dataset, deep=True)
    assert len(found) == 2
    assert f"{val} doesn't hold samples 0 to 19 of val" in found[0]


def test_a_changed_or_missing_table_is_found(dataset: Path) -> None:
    path = dataset / "samples.csv"
    flip(path, 300)
    assert verify(dataset)[0].startswith(f"{path} was changed; run")
    path.unlink()
    assert verify(dataset)[0].startswith(f"{path} is missing; run")


def test_edited_digests_are_found(dataset: Path) -> None:
    edit_manifest(dataset, lambda m: m["shards"][1].update(digest="0" * 64))
    assert verify(dataset) == ()
    assert verify(dataset, deep=True)[0].startswith(
        f"{dataset / SHARD} isn't the manifest's; run"
    )
    good = read_manifest(dataset).splits["val"].digest
    edit_manifest(dataset, lambda m: m["splits"]["val"].update(digest=good[::-1]))
    assert "the digest of val isn't the manifest's; " in verify(dataset, deep=True)[1]


def test_edited_counts_and_identity_are_found(dataset: Path) -> None:
    edit_manifest(dataset, lambda m: m["splits"]["val"].update(count=21))
    text = "the manifest's shards of val don't add up to 21; run"
    assert verify(dataset)[0].startswith(text)
    edit_manifest(dataset, lambda m: m.update(identity="0" * 64))
    first, *others = verify(dataset)
    assert first.startswith(f"{dataset / MANIFEST_NAME}: its recipe or sources were")
    assert "belongs to another dataset" in others[0]


def test_without_a_readable_manifest_it_is_no_dataset(dataset: Path) -> None:
    edit_manifest(dataset, lambda m: m.update(format_version=2))
    with pytest.raises(DatasetError, match=r"manifest\.json has format version 2"):
        verify(dataset)
    (dataset / MANIFEST_NAME).write_text("garbage")
    with pytest.raises(DatasetError, match=r"manifest\.json is not valid JSON"):
        verify(dataset)
    (dataset / MANIFEST_NAME).unlink()
    with pytest.raises(DatasetError, match=r"has no manifest\.json"):
        verify(dataset, deep=True)


def test_a_manifest_with_another_recipe_is_found(dataset: Path) -> None:
    edit_manifest(dataset, lambda fields: fields["recipe"].update(bg=0.75))
    (problem,) = verify(dataset)
    assert problem.startswith(f"{dataset / MANIFEST_NAME}: its recipe or sources were")


@pytest.mark.parametrize("locking", [None, False])
def test_a_shard_that_is_open_elsewhere_is_still_read(
    dataset: Path, locking: bool | None
) -> None:
    with h5py.File(dataset / SHARD, "r", locking=locking):
        assert verify(dataset) == ()


def test_a_file_without_a_format_version_is_told_apart(dataset: Path) -> None:
    with h5py.File(dataset / SHARD, "a") as file:
        del file.attrs["format_version"]
    problem = verify(dataset)[0]
    assert "has no format version: it isn't a Textured MNIST's" in problem
