"""Damage to a finished dataset is found, or it is without effect."""

import os
import random
import shutil
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.faults.commands import contents
from tests.faults.damage import damage
from tests.texturedmnist.conftest import Planner
from texturedmnist import TexturedMNIST
from texturedmnist.generate import run_build, verify
from texturedmnist.manifest import DatasetError, seal, write_manifest
from texturedmnist.shards import (
    COLUMNS,
    ShardSpec,
    map_pixels,
    read_header,
    read_label,
    write_shard,
)

SPLITS = ("train", "val", "test")
SHARD = "train-00000-of-00002.h5"


def samples(folder: Path) -> list[object]:
    """Return all that a reader is given."""
    found: list[object] = []
    for split in SPLITS:
        dataset = TexturedMNIST(folder, split)
        images, masks, labels = dataset.read(range(len(dataset)))
        found += [images.tobytes(), masks.tobytes(), labels.tobytes()]
        found += [dataset.digit_texture_classes, dataset.background_texture_classes]
        found += [dataset.columns[name].tobytes() for name in dataset.columns]
    return found


def damage_often(finished: Path, folder: Path, seed: int, trials: int) -> None:
    draw = random.Random(seed)
    right = samples(finished)
    for trial in range(trials):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(finished, folder)
        before = contents(folder)
        what, _ = damage(folder, draw)
        try:
            problems = verify(folder)
        except DatasetError:
            problems = ("not to be opened",)
        what = f"trial {trial}: {what}"
        assert bool(problems) or _same(before, contents(folder)), what
        with suppress(DatasetError):
            served = samples(folder)
            assert problems or served == right, what
            assert "swapped" not in what or served == right, what


def _same(before: dict[str, bytes], after: dict[str, bytes]) -> bool:
    """Say whether nothing changed; a manifest's white space may have."""
    changed = {name for name in before if before[name] != after.get(name)}
    return before == after or changed == {"manifest.json"}


def test_damage_is_found_or_without_effect(finished: Path, tmp_path: Path) -> None:
    damage_often(finished, tmp_path / "tm", seed=7, trials=30)


@pytest.mark.slow
def test_much_damage_is_found_or_without_effect(finished: Path, tmp_path: Path) -> None:
    damage_often(finished, tmp_path / "tm", seed=8, trials=500)


def test_one_shard_copied_over_another_is_found_at_opening(
    plan: Planner, tmp_path: Path
) -> None:
    """Two of the same split, size and dataset: only their numbers tell them apart."""
    run_build(plan(tmp_path / "tm", shard_size=30))
    opened_before = TexturedMNIST(tmp_path / "tm")
    first = tmp_path / "tm" / "train-00000-of-00002.h5"
    shutil.copy(first, tmp_path / "tm" / "train-00001-of-00002.h5")
    text = r"train-00001.* isn't shard 1 of train"
    with pytest.raises(DatasetError, match=text):
        TexturedMNIST(tmp_path / "tm")
    opened_before.read([0])
    with pytest.raises(DatasetError, match=text):
        opened_before.read([59])


IMAGES, MASKS = (50, 28, 28, 3), (50, 28, 28)
VIRTUAL = h5py.VirtualLayout(IMAGES, "u1")
VIRTUAL[:] = h5py.VirtualSource("elsewhere.h5", "image", IMAGES)
OUTSIDE = {"shape": MASKS, "dtype": "u1", "external": "elsewhere.raw"}
ABSURD = {"shape": (2**36,), "dtype": h5py.string_dtype()}
EMPTY = {"shape": IMAGES, "dtype": "u1"}  # HDF5 keeps no place for it
ONE_CHUNK = {"data": np.zeros(IMAGES, "u1"), "chunks": IMAGES}
# What stands in a dataset's place (`None` is a group), and what is said of it.
LAYOUTS: list[tuple[str, object, str]] = [
    ("image", VIRTUAL, "has the data of image outside itself"),
    ("mask", OUTSIDE, "has the data of mask outside itself"),
    ("label", h5py.ExternalLink("a.h5", "label"), "has label by a link, not in itself"),
    ("digit_aligned", h5py.SoftLink("/label"), "has digit_aligned by a link, not in i"),
    ("plan", h5py.ExternalLink("a.h5", "plan"), "has plan by a link, not in itself"),
    ("digit_texture_files", ABSURD, "has digit_texture_files in another layout than a"),
    ("image", None, "has image as something else than a dataset"),
    ("label", np.zeros(50, [("label", "u1")]), "has label of type .*, not uint8"),
    ("image", EMPTY, "has image in another layout than a shard's"),
    ("image", ONE_CHUNK, "has image in another layout than a shard's"),
    ("image", np.zeros((1, 1, 1, 3), "u1"), r"has image of shape \(1, 1, 1, 3\), not "),
    ("mask", np.zeros(MASKS[:2], "u1"), "has masks of another shape"),
    ("label", np.zeros(9, "u1"), r"has label of shape \(9,\), not \(50,\)"),
    ("digit_texture_classes", np.arange(3), "has digit_texture_classes of another typ"),
]


def put(file: h5py.File, name: str, value: object) -> None:
    del file[name]
    if value is None:
        file.create_group(name)
    elif value is VIRTUAL:
        file.create_virtual_dataset(name, VIRTUAL)
    elif isinstance(value, dict):
        file.create_dataset(name, **value)
    else:
        file[name] = value


@pytest.mark.parametrize(
    ("name", "value", "message"), LAYOUTS, ids=[text for *_, text in LAYOUTS]
)
def test_a_shard_stored_otherwise_is_refused(
    dataset: Path, name: str, value: object, message: str
) -> None:
    with h5py.File(dataset / SHARD, "r+") as file:
        put(file, name, value)
    for use in (read_label, map_pixels):
        with pytest.raises(DatasetError, match=rf"{SHARD} {message}"):
            use(dataset / SHARD)
    with pytest.raises(DatasetError, match=message):
        TexturedMNIST(dataset)
    assert message[:9] in verify(dataset, quick=True)[0]


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_no_file_of_the_folder_is_no_shard(
    kind: str, dataset: Path, tmp_path: Path
) -> None:
    """A pipe without a writer would be waited for."""
    shard, inside, outside = dataset / SHARD, dataset / ".inside", tmp_path / "outside"
    shard.rename(inside)
    shard.symlink_to(inside)
    assert TexturedMNIST(dataset)[0]  # a link within the folder is fine
    shard.unlink()
    inside.rename(outside)
    text = "can't be read: it is no"
    if kind == "pipe":
        os.mkfifo(shard)
    elif kind == "folder":
        shard.mkdir()
    else:
        shard.symlink_to(outside)
        text = "is a link to a file outside"
    with pytest.raises(DatasetError, match=f"{SHARD} {text}"):
        TexturedMNIST(dataset)
    for quick in (True, False):
        assert SHARD in verify(dataset, quick=quick)[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("label", 255), ("label", 10), ("digit_aligned", 2), ("digit_texture", 21)),
        *(("background_texture", -1), ("index", 3)),
    ],
)
def test_a_value_out_of_range_is_refused(dataset: Path, name: str, value: int) -> None:
    with h5py.File(dataset / SHARD, "r+") as file:
        file[name][7] = value
    text = f"{SHARD} has values of {name} that it can't"
    with pytest.raises(DatasetError, match=text):
        TexturedMNIST(dataset)
    assert f"has values of {name}" in verify(dataset, quick=True)[0]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_other_values_of_masks_are_found_even_if_all_digests_are_theirs(
    plan: Planner, tmp_path: Path, compression: str
) -> None:
    build = plan(tmp_path / "tm", compression=compression)
    manifest = run_build(build)
    path, entry = tmp_path / "tm" / SHARD, manifest.shards[0]
    with h5py.File(path, "r+") as file:
        file["mask"][7] = 200 * file["mask"][7]
        images, masks = file["image"][()], file["mask"][()]
        columns = {name: file[name][()] for name in COLUMNS}
    place = ShardSpec("train", 0, 2, 0, 50)
    given = path.parent, place, read_header(path), columns, iter([(images, masks)])
    record = write_shard(*given, image_size=28, compression=compression)
    shards = tuple(record.entry if e == entry else e for e in manifest.shards)
    write_manifest(path.parent, seal(manifest.model_copy(update={"shards": shards})))
    (problem,) = verify(path.parent)
    assert "has masks of other values than 0 and 1; run the same" in problem


def test_another_label_is_found_at_opening(dataset: Path) -> None:
    """One that a digit can have, so that no range tells it."""
    with h5py.File(dataset / SHARD, "r+") as file:
        file["label"][7] = (file["label"][7] + 1) % 10
    text = "the labels or aligned flags of train aren't those that the manifest counts"
    with pytest.raises(DatasetError, match=f"{text}; run the same"):
        TexturedMNIST(dataset)
    (problem,) = verify(dataset, quick=True)
    assert problem.startswith(text)


def test_masks_alone_in_chunks_are_read_as_any(finished: Path, dataset: Path) -> None:
    with h5py.File(dataset / SHARD, "r+") as file:
        data = file["mask"][()]
        del file["mask"]
        file.create_dataset("mask", data=data, chunks=(1, 28, 28), compression="gzip")
    found, right = (map_pixels(folder / SHARD) for folder in (dataset, finished))
    assert len(found) == len(right)
    assert all(map(np.array_equal, found, right))


def test_what_was_checked_at_opening_is_not_checked_when_it_is_read(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = TexturedMNIST(finished)
    for module in ("open", "read"):
        monkeypatch.delattr(f"texturedmnist.shards.{module}.open_hdf5")
    dataset.read([0, 59])
