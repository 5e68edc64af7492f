import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.random_states import untouched
from tests.texturedmnist.interop.conftest import Maker
from texturedmnist import TexturedMNIST
from texturedmnist.manifest import DatasetError, read_manifest

datasets = pytest.importorskip("datasets")
from texturedmnist.interop import huggingface_dataset  # noqa: E402 (after the skip)
from texturedmnist.interop.export.parquet import make_schema  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own
TARGETS = ("mask", "label", "background_texture", "digit_texture", "background_aligned")


@pytest.mark.parametrize("split", ["train", "val_shifted"])
def test_every_row_is_the_sample(folder: Path, tmp_path: Path, split: str) -> None:
    plain = TexturedMNIST(folder, split, [*TARGETS, "digit_aligned"])
    with untouched():
        found = huggingface_dataset(folder, split, cache_dir=tmp_path)
        assert found[0]["image"]
    assert len(found) == len(plain)
    for index, row in enumerate(found):
        image, (mask, *values) = plain[index]
        assert np.array_equal(np.asarray(row["image"]), np.asarray(image))
        assert np.array_equal(np.asarray(row["mask"]), mask.numpy())
        assert [row[name] for name in (*TARGETS[1:], "digit_aligned")] == values
        assert row["index"] == index


def test_the_features_are_those_trainers_look_for(folder: Path, tmp_path: Path) -> None:
    plain = TexturedMNIST(folder, "val")
    found = huggingface_dataset(folder, "val", cache_dir=tmp_path)
    features = found.features
    assert isinstance(features["image"], datasets.Image)
    assert isinstance(features["mask"], datasets.Image)
    assert features["label"].names == [str(digit) for digit in range(10)]
    names = features["background_texture"].names
    assert tuple(names) == plain.background_texture_classes
    assert tuple(features["digit_texture"].names) == plain.digit_texture_classes
    assert features["background_aligned"].dtype == "bool"
    assert features["index"].dtype == "int64"
    assert str(found.split) == "validation"
    notes = json.loads(make_schema(read_manifest(folder)).metadata[b"huggingface"])
    exported = datasets.Features.from_dict(notes["info"]["features"])
    assert features == exported
    again = huggingface_dataset(folder, "validation", cache_dir=tmp_path)
    assert again[3] == found[3]


def test_another_data_set_in_the_same_folder_is_not_the_cached_one(
    make: Maker, tmp_path: Path
) -> None:
    place = tmp_path / "tm"
    first: list[Any] = []
    for seed in (1, 2):
        shutil.copytree(make(seed=seed, train=8, val=0, test=0), place)
        found = huggingface_dataset(place, cache_dir=tmp_path / "cache")
        first.append(np.asarray(found[0]["image"]))
        assert np.array_equal(first[-1], np.asarray(TexturedMNIST(place)[0][0]))
        shutil.rmtree(place)
    assert not np.array_equal(*first)


def test_several_processes_give_the_same_rows(folder: Path, tmp_path: Path) -> None:
    one = huggingface_dataset(folder, cache_dir=tmp_path / "one")
    two = huggingface_dataset(folder, cache_dir=tmp_path / "two", num_proc=2)
    assert [*two["index"]] == [*range(300)]
    assert np.array_equal(np.asarray(one[299]["image"]), np.asarray(two[299]["image"]))


def test_an_unknown_split_is_named_with_the_known(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown split 'dev'; allowed: train, val, "):
        huggingface_dataset(folder, "dev", cache_dir=tmp_path)
    with pytest.raises(DatasetError, match="no dataset folder"):
        huggingface_dataset(tmp_path / "none")
