import itertools
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Subset
from torchvision import tv_tensors
from torchvision.datasets import MNIST
from torchvision.transforms import v2

from tests.random_states import untouched
from tests.texturedmnist.tree import write_dtd, write_textures
from texturedmnist.dataset import TARGET_TYPES, TexturedMNIST, samples
from texturedmnist.generate import plan_build, run_build
from texturedmnist.manifest import DatasetError
from texturedmnist.recipe import DTD_CLASSES, SPLITS, Recipe
from texturedmnist.sources import SourceError

SIZE = 32
COUNTS = {"train": 40, "val": 12, "test": 10, "val_shifted": 12}
NAMES = tuple(f"class_{number:02d}" for number in range(20))
KINDS = ("none", "gzip", "rendered")
ROLES = ("background_texture", "digit_texture")
RECIPE = Recipe(
    bg=0.5, tex=0.5, seed=5, digits="embedded", image_size=SIZE, val_shifted=True,
    train=40, val=12, test=10,
)  # fmt: skip

Sample = tuple[Any, Any]


@dataclass
class Place:
    """A fake DTD, the cache of its pixels and what was made from it."""

    root: Path

    @property
    def sources(self) -> dict[str, Any]:
        """Where the sources are."""
        return {"data_root": self.root, "cache_dir": self.root / "cache"}

    def make(self, name: str, recipe: Recipe = RECIPE, **how: Any) -> Path:
        """Generate a folder."""
        run_build(plan_build(recipe, self.root / name, **self.sources, **how))
        return self.root / name

    def open(
        self, kind: str, split: str = "train", *args: Any, **kwargs: Any
    ) -> TexturedMNIST:
        """Open the dataset, stored or rendered on the fly."""
        places: dict[str, Any] = {**self.sources, **kwargs}
        if kind == "rendered":
            return TexturedMNIST.from_recipe(RECIPE, split, *args, **places)
        return TexturedMNIST(self.root / kind, split, *args, **places)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("place"))
    write_dtd(place.root, DTD_CLASSES)
    for compression in ("none", "gzip"):
        place.make(compression, compression=compression, shard_size=16)
    return place


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Open = Callable[..., TexturedMNIST]


@pytest.fixture
def opened(place: Place, kind: str) -> Open:
    """Open a split of the dataset of this kind."""
    return partial(place.open, kind)


def pixels(sample: Sample) -> NDArray[np.uint8]:
    return np.asarray(sample[0])


def same(one: Any, other: Any) -> bool:  # noqa: ANN401 (an image, a target, a sample)
    """Compare samples or their parts, in type and value."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor | Image.Image):
        return np.array_equal(np.asarray(one), np.asarray(other))
    return bool(one == other)


def test_a_sample_is_an_image_and_an_int_as_in_torchvision(opened: Open) -> None:
    dataset = opened()
    image, label = dataset[3]
    assert isinstance(image, Image.Image)
    assert (image.mode, image.size) == ("RGB", (SIZE, SIZE))
    assert type(label) is int
    assert label == dataset.targets[3]
    assert len(dataset) == 40
    assert dataset.classes == MNIST.classes
    assert dataset.class_to_idx["7 - seven"] == 7
    assert list(dataset.class_to_idx.values()) == list(range(10))
    assert dataset.targets.dtype == torch.int64
    assert dataset.digit_texture_classes == DTD_CLASSES[:10]
    assert dataset.background_texture_classes == DTD_CLASSES[10:]


def test_the_description_says_which_split_this_is(place: Place) -> None:
    text = repr(place.open("gzip", "val"))
    assert text.startswith("Dataset TexturedMNIST\n    Number of datapoints: 12\n")
    assert f"Root location: {place.root / 'gzip'}" in text
    assert "Split: val (stored)" in text
    text = repr(place.open("rendered", "test"))
    assert "Split: test (rendered on the fly)" in text
    assert "Root location" not in text


def test_stored_and_rendered_samples_are_the_same(place: Place) -> None:
    for split in SPLITS:
        one, two, three = (place.open(kind, split, TARGET_TYPES) for kind in KINDS)
        assert len(one) == len(two) == len(three) == COUNTS[split]
        assert same([*one], [*two])
        assert same([*one], [*three])
        for index, role in itertools.product(range(4), ROLES):
            stored = one.counterfactual(index, role)
            assert same(stored, three.counterfactual(index, role))
        for name, column in one.columns.items():
            assert column.dtype == three.columns[name].dtype
            assert np.array_equal(column, three.columns[name])


def test_each_target_type_is_a_target(opened: Open) -> None:
    dataset = opened("val_shifted", list(TARGET_TYPES))
    masked = opened("val_shifted", "mask")
    for index in range(len(dataset)):
        image, target = dataset[index]
        row = dict(zip(TARGET_TYPES, target, strict=True))
        mask = row.pop("mask")
        assert isinstance(mask, tv_tensors.Mask)
        assert (mask.dtype, tuple(mask.shape)) == (torch.uint8, (SIZE, SIZE))
        assert set(mask.unique().tolist()) == {0, 1}
        assert {*map(type, row.values())} == {int}
        assert row["index"] == index
        assert row["label"] == dataset.targets[index]
        assert row["group"] == 2 * row["label"] + row["background_aligned"]
        # The default assignment: digit d has class d, backgrounds are assigned in turn.
        assert row["digit_aligned"] == (row["digit_texture"] == row["label"])
        assigned = row["background_texture"] % 10 == row["label"]
        assert row["background_aligned"] == assigned
        assert same(masked[index], (image, mask))
    assert set(dataset.columns["background_aligned"].tolist()) == {0, 1}


def test_several_target_types_are_a_tuple_in_their_order(place: Place) -> None:
    target = place.open("none", "train", ["index", "label"])[4][1]
    assert type(target) is tuple
    assert target[0] == 4
    assert place.open("none", "train", ["index"])[4][1] == 4
    assert place.open("none", "train", [])[4][1] is None


def test_unknown_names_are_reported_with_the_known(opened: Open) -> None:
    text = "unknown split 'valid'; allowed: train, val, test, val_shifted"
    with pytest.raises(ValueError, match=f"^{text}$"):
        opened("valid")
    text = f"unknown target type 'masks'; allowed: {', '.join(TARGET_TYPES)}"
    with pytest.raises(ValueError, match=f"^{text}$"):
        opened("train", ["label", "masks"])


def test_a_split_that_was_not_stored_is_told_those_that_were(place: Place) -> None:
    fields = {"val_shifted": False, "train": 3, "val": 2, "test": 0}
    recipe = RECIPE.model_copy(update=fields)
    folder = place.make("plain", recipe)
    for split in ("val_shifted", "test"):
        text = f"no split '{split}' in this dataset; it has: train, val"
        with pytest.raises(DatasetError, match=f"^{text}$"):
            TexturedMNIST(folder, split)
    shifted = TexturedMNIST.from_recipe(recipe, "val_shifted", **place.sources)
    assert len(shifted) == 2
    assert same(shifted[1], place.open("none", "val_shifted")[1])
    assert [*TexturedMNIST.from_recipe(recipe, "test", **place.sources)] == []


def test_a_root_may_start_at_the_home_folder(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(place.root))
    assert same(TexturedMNIST("~/none")[0], place.open("none")[0])
    sources: dict[str, Any] = {"data_root": "~", "cache_dir": "~/cache"}
    rendered = TexturedMNIST.from_recipe(RECIPE, **sources)
    assert same(rendered[0], place.open("none")[0])
    assert TexturedMNIST("~/none", **sources).counterfactual(0)
    with pytest.raises(SourceError, match="no home folder for ~nobody-of-this/x: wri"):
        TexturedMNIST("~nobody-of-this/x")


def test_transforms_exclude_the_other_two(opened: Open) -> None:
    with pytest.raises(ValueError, match="Only transforms or transform/target_transf"):
        opened("train", "label", v2.Identity(), v2.Identity())


def test_a_batch_is_its_samples_in_the_order_asked_for(opened: Open) -> None:
    dataset = opened("train", TARGET_TYPES)
    indices = [39, 0, 17, 17, -1, 16, 15]  # over the edges of the shards of 16
    assert same(dataset.__getitems__(indices), [dataset[i % 40] for i in indices])
    assert dataset.__getitems__([]) == []
    part: Subset[Any] = Subset(dataset, [3, 1])
    assert same([part[0], part[1]], [dataset[3], dataset[1]])


def test_plain_arrays_are_the_samples(opened: Open) -> None:
    dataset = opened("train", ["mask", "label"])
    images, masks, labels = dataset.read(np.array([20, -40, 5]))
    assert images.dtype == masks.dtype == np.uint8
    assert labels.dtype == np.int64
    for k, index in enumerate((20, 0, 5)):
        image, (mask, label) = dataset[index]
        assert np.array_equal(images[k], np.asarray(image))
        assert np.array_equal(masks[k], mask.numpy())
        assert labels[k] == label
    images[...] = 0  # the reader's own, not the file's
    assert pixels(dataset[20]).any()
    assert dataset.read([])[0].shape == (0, SIZE, SIZE, 3)


def test_an_index_counts_from_either_end_and_no_further(opened: Open) -> None:
    dataset = opened("test", ["index"])
    places: list[Any] = [-1, -10, np.int64(4), torch.tensor(3)]
    assert [dataset[number][1] for number in places] == [9, 0, 4, 3]
    assert [sample[1] for sample in dataset] == [*range(10)]
    for index in (10, -11, 2**40):
        text = "^index out of range: test has 10 samples$"
        with pytest.raises(IndexError, match=text):
            dataset[index]
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        dataset[1.0]  # type: ignore[index]


def test_a_pickled_dataset_holds_nothing_open(place: Place, kind: str) -> None:
    dataset = place.open(kind, "train", TARGET_TYPES)
    before = dataset[5], dataset.counterfactual(5)
    data = pickle.dumps(dataset)
    again = pickle.loads(data)
    assert same((again[5], again.counterfactual(5)), before)
    assert same(dataset[5], before[0])
    fresh = place.open(kind, "train", TARGET_TYPES)
    # Digits are 1.4 MB; all pixels of the textures would be some 0.7 MB more.
    assert len(pickle.dumps(fresh)) < (1_600_000 if kind == "rendered" else 20_000)


def loaded(dataset: TexturedMNIST, workers: int, context: str | None) -> list[Sample]:
    """Load all samples by a DataLoader, shuffled by a sampler of our own."""
    order = np.random.default_rng(0).permutation(len(dataset)).tolist()
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_size=7,
        sampler=order,
        num_workers=workers,
        collate_fn=list,
        multiprocessing_context=context,
    )
    samples = [sample for batch in loader for sample in batch]
    return [samples[order.index(index)] for index in range(len(dataset))]


@pytest.mark.parametrize(
    ("context", "workers"),
    [
        *((None, 0), ("fork", 1), ("fork", 4)),
        *(
            pytest.param(context, workers, marks=pytest.mark.slow)
            for context in ("spawn", "forkserver")
            for workers in (1, 4)
        ),
    ],
)
def test_workers_load_the_same(opened: Open, context: str | None, workers: int) -> None:
    """As direct reads do, which come first and leave files open."""
    dataset = opened("train", TARGET_TYPES)
    direct = [*dataset]
    found = loaded(dataset, workers, context)
    assert [sample[1][-1] for sample in found] == [*range(40)]
    assert same(found, direct)
    assert same([*dataset], direct)


def test_a_spawned_worker_loads_the_same_samples(place: Place) -> None:
    dataset = place.open("gzip", "train", TARGET_TYPES)
    assert same(loaded(dataset, 1, "spawn"), [*dataset])


@pytest.mark.parametrize(("role", "other"), [ROLES, ROLES[::-1]])
def test_a_counterfactual_differs_in_one_texture_only(
    opened: Open, role: str, other: str
) -> None:
    dataset = opened("test", ["mask", role, "label", "index", other])
    for index in range(len(dataset)):
        own, counterfactual = dataset[index], dataset.counterfactual(index, role)
        mask = own[1][0].numpy()
        assert own[1][1] != counterfactual[1][1]
        assert same(own[1][2:], counterfactual[1][2:])
        assert np.array_equal(mask, counterfactual[1][0].numpy())
        changed = (pixels(own) != pixels(counterfactual)).any(axis=-1)
        assert not changed[mask == (role == "background_texture")].any()
        free = changed[mask == (role == "digit_texture")]
        assert free.mean() > 0.5
        assert same(dataset.counterfactual(index - 10, role), counterfactual)


def test_a_counterfactual_has_the_class_that_is_named(opened: Open) -> None:
    targets = ["background_texture", "background_aligned", "group", "label", "mask"]
    dataset = opened("train", targets)
    number, aligned, group, label, _ = dataset.counterfactual(6, texture="zigzagged")[1]
    assert dataset.background_texture_classes[number] == "zigzagged"
    assert aligned == (label == 36 % 10)
    assert group == 2 * label + aligned
    own = dataset.background_texture_classes[dataset[6][1][0]]
    assert same(dataset.counterfactual(6, "background_texture", own), dataset[6])
    inside = opened("train", "digit_texture")
    assert inside.counterfactual(6, "digit_texture", "banded")[1] == 0


def test_unknown_roles_and_classes_of_counterfactuals_are_refused(opened: Open) -> None:
    dataset = opened()
    for make in (partial(dataset.counterfactual, 0), dataset.counterfactuals):
        text = "unknown role 'bg'; allowed: digit_texture, background_texture"
        with pytest.raises(ValueError, match=f"^{text}$"):
            make("bg")
        text = f"unknown texture 'banded'; allowed: {', '.join(DTD_CLASSES[10:])}"
        with pytest.raises(ValueError, match=f"^{text}$"):
            make(texture="banded")
    with pytest.raises(IndexError, match="index out of range"):
        dataset.counterfactual(40)


def test_counterfactuals_need_a_folder_s_sources(place: Place, tmp_path: Path) -> None:
    absent = place.open("none", data_root=tmp_path, cache_dir=tmp_path / "cache")
    for make in (partial(absent.counterfactual, 0), absent.counterfactuals):
        with pytest.raises(SourceError, match=re.escape(f"DTD is not in {tmp_path}")):
            make()  # before the first epoch
    write_dtd(tmp_path, DTD_CLASSES)
    assert same(absent.counterfactual(0), place.open("none").counterfactual(0))
    assert len(absent.counterfactuals()) == 40


def test_other_sources_give_no_counterfactual(place: Place, tmp_path: Path) -> None:
    base = write_dtd(tmp_path, DTD_CLASSES)
    path = base / "images" / "zigzagged" / "zigzagged_0001.jpg"
    Image.fromarray(np.full((40, 36, 3), 9, np.uint8)).save(path)
    changed = place.open("gzip", data_root=tmp_path, cache_dir=tmp_path / "cache")
    text = "was made from other sources, or by another decoder, than those found here"
    with pytest.raises(DatasetError, match=f"gzip {text}"):
        changed.counterfactual(0)
    assert changed[0]


def test_own_textures_need_the_recipe(place: Place, tmp_path: Path) -> None:
    write_textures(place.root / "mine", NAMES)
    mine = str(place.root / "mine")
    fields = {"digit_textures": mine, "train": 4, "val": 0, "test": 0}
    for background in (mine, "dtd"):
        recipe = RECIPE.model_copy(update={**fields, "background_textures": background})
        folder = place.make(f"mine-{background == mine}", recipe)
        stored = TexturedMNIST(folder, **place.sources)
        text = (
            f"{folder} was made from a folder of textures, whose place it doesn't "
            "know: render counterfactuals with TexturedMNIST.from_recipe"
        )
        with pytest.raises(DatasetError, match=f"^{re.escape(text)}$"):
            stored.counterfactual(0)
        rendered = TexturedMNIST.from_recipe(recipe, **place.sources)
        assert same([*stored], [*rendered])
        assert not same(rendered.counterfactual(0), rendered[0])


def test_reading_leaves_the_global_random_states_alone(opened: Open) -> None:
    with untouched():
        dataset = opened("val", TARGET_TYPES)
        assert dataset[0]
        assert dataset.read([1, 2])
        assert dataset.counterfactual(3)
        assert dataset.counterfactuals()[3]


def test_other_targets_take_effect_everywhere(opened: Open) -> None:
    dataset = opened(target_types=["label", "group"])
    before = [dataset[k][1] for k in range(40)]
    dataset.targets[:20] = 7
    assert [dataset[k][1][0] for k in range(20)] == [7] * 20
    assert dataset.read([3, 30])[2].tolist() == [7, before[30][0]]
    dataset.targets = torch.arange(40) % 2
    assert [dataset[k][1][0] for k in range(40)] == [0, 1] * 20
    assert [dataset[k][1][1] for k in range(40)] == [group for _, group in before]
    assert dataset.counterfactual(3)[1][0] == 1
    on_device = dataset.on_device("cpu")
    assert on_device.read([2, 3])[2].tolist() == [0, 1]
    assert on_device.counterfactuals().labels.tolist() == [0, 1] * 20
    on_device.labels[:] = 5
    assert dataset[3][1][0] == 1
    again = pickle.loads(pickle.dumps(dataset))
    assert again.targets.tolist() == [0, 1] * 20


def test_targets_of_another_number_are_refused(opened: Open) -> None:
    dataset = opened()
    for values in (dataset.targets[:9], dataset.targets[:, None], torch.rand(40)):
        with pytest.raises(ValueError, match=r"40 whole numbers.*Subset.*target_trans"):
            dataset.targets = values
    assert len(dataset) == 40
    with pytest.raises(ValueError, match="read-only"):
        dataset.columns["label"][0] = 3


def test_transforms_set_later_take_effect(opened: Open) -> None:
    dataset = opened()
    image, label = dataset[3]
    part: Subset[Any] = Subset(dataset, [3])
    dataset.transform = v2.PILToTensor()
    assert np.array_equal(part[0][0].permute(1, 2, 0).numpy(), np.asarray(image))
    plain = np.asarray(opened().counterfactual(3)[0])
    assert np.array_equal(dataset.counterfactual(3)[0].permute(1, 2, 0).numpy(), plain)
    dataset.target_transform = str
    assert part[0][1] == str(label)
    assert isinstance(part[0][0], torch.Tensor)
    dataset.transforms = lambda image, label: (label, image.size)
    assert part[0] == (label, image.size)
    assert [dataset.transform, dataset.target_transform] == [None, None]
    dataset.transforms = None
    assert same(part[0], (image, label))
    again = opened(transform=np.asarray, target_transform=str)
    again.target_transform = None
    assert again[3][1] == label
    assert isinstance(again[3][0], np.ndarray)


def test_the_working_directory_may_change(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(place.root)
    dataset = TexturedMNIST("none", data_root=".", cache_dir="cache")
    right = place.open("none")
    monkeypatch.chdir(tmp_path)
    assert same(dataset[3], right[3])
    assert same(dataset.counterfactual(3), right.counterfactual(3))
    assert dataset.root == str(place.root / "none")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (the fastest way)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc here")
def test_a_compressed_shard_is_open_as_long_as_its_dataset(place: Place) -> None:
    """As docs/format.md says, for those who want to write to it."""
    folder = place.make("open", compression="gzip")
    dataset = TexturedMNIST(folder)
    dataset.read([0])
    (shard,) = folder.glob("train-*.h5")
    h5py.File(shard, "r").close()
    with pytest.raises(OSError, match="already open"):
        h5py.File(shard, "r+")
    del dataset
    h5py.File(shard, "r+").close()


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_number_of_open_files_is_bounded(
    place: Place, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    """With 40 shards as with any number; what is read stays right."""
    folder = place.make(f"many_{compression}", compression=compression, shard_size=1)
    monkeypatch.setattr(samples, "MOST_OPEN", 5)
    dataset = TexturedMNIST(folder)
    right = place.open("none").read(range(40))
    before = open_files()
    for _ in range(2):
        pairs = zip(dataset.read(range(40)), right, strict=True)
        assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)
        assert open_files() - before <= 5
