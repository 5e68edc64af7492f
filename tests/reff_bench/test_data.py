import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from reff_bench.data import pixels
from reff_bench.data.opening import open_data
from reff_bench.data.split import Data, Split
from reff_bench.data.subset import Unit, annotated_subset, random_split
from reff_bench.data.transforms import resize_pair
from reff_bench.grid.config import GridError
from reff_bench.identity.configs import identify_configs
from reff_bench.identity.tree import DataError
from tests.faults.damage import bomb
from tests.random_states import untouched
from tests.reff_bench.small import SHARED, build_folder, small_config, stored_config
from tests.reff_bench.trees import (
    TREES,
    Dataset,
    make_isic,
    make_pets,
    save_image,
    save_mask,
    tree_config,
)

LABELS = np.arange(60) % 3


def test_a_batch_has_one_form(data: Data) -> None:
    batch = data.splits["train"].get([5, 2, 5])
    assert len(batch) == 3
    assert batch.index.tolist() == [5, 2, 5]
    assert (batch.image.shape, batch.image.dtype) == ((3, 3, 28, 28), torch.float32)
    assert (batch.mask.shape, batch.mask.dtype) == ((3, 28, 28), torch.float32)
    assert {batch.label.dtype, batch.group.dtype, batch.index.dtype} == {torch.int64}
    assert batch.annotated.dtype == torch.bool
    assert set(batch.mask.flatten().tolist()) == {0.0, 1.0}


def test_backgrounds_say_the_label_in_training_and_not_in_the_test(data: Data) -> None:
    train, test = data.splits["train"], data.splits["test"]
    assert (train.groups == 2 * train.labels + 1).all()
    assert not (test.groups == 2 * test.labels + 1).all()
    assert data.group_names[3] == "1, aligned background"
    assert len(data.splits["val_shifted"]) == len(data.splits["val"])


def test_a_stored_folder_gives_the_same_batches(stored: Path, data: Data) -> None:
    found = open_data(stored_config(stored))
    assert found.identity == data.identity
    assert "val_shifted" not in found.splits
    for name, split in found.splits.items():
        ours, theirs = split.get([0, 7]), data.splits[name].get([0, 7])
        assert torch.equal(ours.image, theirs.image)
        assert torch.equal(ours.mask, theirs.mask)
        assert torch.equal(split.groups, data.splits[name].groups)


def test_a_folder_without_a_split_says_which_it_has(tmp_path: Path) -> None:
    config = stored_config(build_folder(tmp_path / "d", val=0))
    with pytest.raises(DataError, match="no split 'val'; it has: train, test"):
        open_data(config)


@pytest.mark.parametrize(
    ("identity", "text"), [("0" * 64, "0{12}, now"), ("a\x1b[2J", r"a\\x1b\[2J, now")]
)
def test_other_data_than_planned_are_refused(identity: str, text: str) -> None:
    config = small_config().model_copy(update={"data_identity": identity})
    with pytest.raises(DataError, match=f"since it was planned .identity {text}"):
        open_data(config)


@pytest.mark.parametrize("workers", [0, 2])
def test_pixels_on_disk_are_the_same_and_reading_ahead_draws_nothing(
    workers: int, stored: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reff_bench.data.pixels.MEMORY_LIMIT_BYTES", 0)
    split = open_data(stored_config(stored)).splits["train"]
    assert not isinstance(split.source, pixels.MemoryPixels)
    batches = torch.split(torch.arange(90).flip(0), 32)
    with untouched():
        found = list(split.batches(batches, workers=workers))
    expected = data.splits["train"].batches(batches)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.image, theirs.image)
        assert torch.equal(ours.index, theirs.index)


def test_memory_is_filled_up_to_its_limit(data: Data) -> None:
    source = pixels.IndexedPixels(data.splits["val"].source, torch.arange(30))
    assert isinstance(pixels.in_memory(source, 30, 28), pixels.MemoryPixels)
    assert pixels.in_memory(source, 10**6, 224) is source


def test_masks_are_true_where_annotated_and_drawn_elsewhere(data: Data) -> None:
    train = data.splits["train"]
    annotated = np.arange(90) < 2
    pseudo = np.full((90, 28, 28), 51, np.uint8)
    batch = train.with_masks(annotated, pseudo).get([1, 2])
    assert batch.annotated.tolist() == [True, False]
    assert torch.equal(batch.mask[0], train.get([1]).mask[0])
    torch.testing.assert_close(batch.mask[1], torch.full((28, 28), 0.2))
    bare = train.with_masks(annotated, None).get([2])
    assert (bare.mask == 1).all()


def test_flips_move_image_and_mask_together(data: Data) -> None:
    split = data.splits["train"]
    flips = torch.zeros(90, dtype=torch.bool)
    flips[1] = True
    (batch,) = split.batches([torch.tensor([0, 1])], flipped=flips)
    plain = split.get([0, 1])
    assert torch.equal(batch.image[0], plain.image[0])
    assert torch.equal(batch.image[1], plain.image[1].flip(-1))
    assert torch.equal(batch.mask[1], plain.mask[1].flip(-1))


def test_image_and_mask_of_different_sizes_meet() -> None:
    image = torch.zeros(3, 30, 40, dtype=torch.uint8)
    image[:, :, 20:] = 200
    mask = torch.zeros(120, 160, dtype=torch.uint8)
    mask[:, 80:] = 1
    image, mask = resize_pair(image, mask, 32)
    assert image.shape == (3, 32, 32)
    assert set(mask.flatten().tolist()) == {0, 1}
    assert torch.equal(image[0] > 100, mask.bool())


@pytest.mark.parametrize("unit", ["per_class", "total", "percent"])
def test_smaller_subsets_lie_within_larger_ones(unit: Unit) -> None:
    sizes = (1, 5, 10, 20)
    chosen = [annotated_subset(LABELS, n, unit, seed=3) for n in sizes]
    for small, large in pairwise(chosen):
        assert (small <= large).all()
        assert small.sum() < large.sum()


def test_the_unit_says_what_is_counted() -> None:
    per_class = annotated_subset(LABELS, 4, "per_class", seed=0)
    assert np.bincount(LABELS[per_class]).tolist() == [4, 4, 4]
    assert annotated_subset(LABELS, 7, "total", seed=0).sum() == 7
    assert annotated_subset(LABELS, 1, "percent", seed=0).sum() == 1
    assert annotated_subset(LABELS, 50, "percent", seed=0).sum() == 30
    assert annotated_subset(LABELS, "all", "percent", seed=0).all()
    assert annotated_subset(LABELS, 20, "per_class", seed=0).all()


@pytest.mark.parametrize(
    ("asked", "unit", "message"),
    [
        (21, "per_class", "21 per_class: class 1 has 19 training images with a mask; "),
        (60, "total", "60 total: there are 59 training images .* at most 59 or all is"),
    ],
)
def test_more_annotations_than_images_are_refused(
    asked: int, unit: Unit, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        annotated_subset(LABELS, asked, unit, 0, np.arange(60) != 1)


@pytest.mark.parametrize(
    ("dataset", "asked", "unit", "message"),
    [
        ("isic2017", 2, "per_class", "2 per_class: class 'melanoma' has 1 training im"),
        ("pets", 6, "per_class", "6 per_class: class .* has 5 training images with a"),
        ("pets", 11, "total", "11 total: there are 10 training .*; at most 10 or all"),
    ],
)
def test_more_annotations_than_masks_are_refused_before_any_run(
    dataset: Dataset, asked: int, unit: Unit, message: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"annotations": asked, "annotation_unit": unit}
    without = tree_config(dataset, TREES[dataset](tmp_path / "tree"), **options)
    reff = without.model_copy(update={"method": "reff"})
    identify_configs([without], data_root=tmp_path, cache_dir=None)
    with pytest.raises(GridError, match=message):
        identify_configs([reff], data_root=tmp_path, cache_dir=None)


def test_only_images_with_a_mask_are_annotated() -> None:
    able = np.arange(60) >= 30
    for annotations in (5, "all"):
        chosen = annotated_subset(LABELS, annotations, "per_class", 0, able)
        assert chosen.any()
        assert not chosen[~able].any()


def test_the_seed_alone_chooses_the_subset() -> None:
    chosen = [annotated_subset(LABELS, 9, "total", seed) for seed in (1, 1, 2)]
    assert (chosen[0] == chosen[1]).all()
    assert not (chosen[0] == chosen[2]).all()
    golden = [15, 44, 46]  # must be the same on every machine and in every release
    assert np.flatnonzero(annotated_subset(LABELS, 3, "total", 0)).tolist() == golden


def test_a_random_split_has_all_rows_once() -> None:
    first, second = random_split(100, 0.9, seed=4)
    assert len(first) == 90
    assert sorted([*first, *second]) == list(range(100))


@pytest.mark.parametrize(
    ("task", "names", "labels"),
    [
        ("three_classes", ("melanoma", "seborrheic_keratosis", "nevus"), [0, 1, 2]),
        ("melanoma", ("other", "melanoma"), [1, 0, 0]),
        ("seborrheic_keratosis", ("other", "seborrheic_keratosis"), [0, 1, 0]),
    ],
)
def test_isic_has_three_tasks(
    task: str, names: tuple[str, ...], labels: list[int], tmp_path: Path
) -> None:
    root = make_isic(tmp_path / "isic")
    config = tree_config("isic2017", root, task=task)
    data = open_data(config)
    assert data.class_names == names
    for name in ("train", "val", "test"):
        assert data.splits[name].labels.tolist() == labels
        assert data.splits[name].groups.tolist() == labels
    batch = data.splits["train"].get([0, 1, 2])
    assert batch.annotated.all()
    assert (batch.mask == (torch.arange(32) < 16)).all()
    assert not data.splits["test"].get([0]).annotated.any()
    assert "val_shifted" not in data.splits


Damage = Callable[[Path], object]
TABLE = "ISIC-2017_Validation_Part3_GroundTruth.csv"
HEADER = "image_id,melanoma,seborrheic_keratosis\n"


def gone(name: str) -> Damage:
    return lambda root: shutil.move(root / name, root.parent)


def written(name: str, text: str, encoding: str = "utf-8") -> Damage:
    return lambda root: (root / name).write_text(text, encoding)


def pipe(root: Path) -> None:
    (root / TABLE).unlink()
    os.mkfifo(root / TABLE)


def line(text: str) -> Damage:
    lines = "annotations/test.txt"
    return lambda root: (root / lines).write_text(f"{(root / lines).read_text()}{text}")


table = partial(written, TABLE)
MASK = "ISIC-2017_Training_Part1_GroundTruth/ISIC_0000000_segmentation.png"
TEST = "ISIC-2017_Test_v2_Data/ISIC_2000001"
ISIC: dict[str, Damage] = {
    "lacks the mask of 1 of 3 images, the first is .ISIC_0000000": gone(MASK),
    "lacks the image of 1 of 3 images.* .ISIC_2000001": gone(f"{TEST}.jpg"),
    "no folder .*Training_Data; say where the official ISIC": gone(
        "ISIC-2017_Training_Data"
    ),
    "has both ISIC_2000001.JPG and ISIC_2000001.jpg, whose": (
        lambda root: save_image(root / f"{TEST}.JPG")
    ),
    f"{TABLE} is no regular file; say": pipe,
    "begins with 'a,b'; an official list of labels has": table("a,b\n"),
    "'x,1.0,1.0' is no diagnosis": table(HEADER + "x,1.0,1.0"),
    "'x,high,0' is no diagnosis": table(HEADER + "x,high,0"),
    "is empty; say where": table(""),
    "has a header and no image; say where": table(HEADER),
    "line 2: 'x,1.0' is no diagnosis": table(HEADER + "x,1.0"),
    "line 2: 'x,nan,0' is no diagnosis": table(HEADER + "x,nan,0"),
    "line 3: .isic_1000000. is in ISIC-2017_Validation.*, line 2, already": table(
        HEADER + "ISIC_1000000,0,1\nisic_1000000,1,0\n"
    ),
    r"Validation_.*line 2: .ISIC_0000000. is in ISIC-2017_Training\S*, line 2,": (
        table(HEADER + "ISIC_0000000,1.0,0.0\n")
    ),
    "line 1: the text isn't UTF-8 .byte 0xff": table(HEADER, "utf-16"),
    "line 2: the text isn't UTF-8": table(HEADER + "é,0,0\n", "latin-1"),
}
TRIMAP = "annotations/trimaps/pug_trainval_1.png"
PETS: dict[str, Damage] = {
    "line 1: 'cat 1 two 3' is not 'name class species breed'": written(
        "annotations/trainval.txt", "cat 1 two 3\n"
    ),
    "lacks the trimap of 1 of 10 images.*pug_trainval_1": gone(TRIMAP),
    "can't read .*test.txt: No such file": gone("annotations/test.txt"),
    "test.txt, line 6: .pug_test_1. is in test.txt, line 3, already; an image": line(
        "pug_test_1 34 1 1"
    ),
    "test.txt, line 6: .pug_trainval_1. is in trainval.txt, line 3, already": line(
        "pug_trainval_1 6 2 1"
    ),
    "line 6: 'x_1 1 0 1': .* species 1 .cat. or 2 .dog.": line("x_1 1 0 1"),
    "line 6: 'x_1 1 3 1': the class must be 1 or more": line("x_1 1 3 1"),
    "line 6: 'x_1 0 1 1': the class must be 1 or more": line("x_1 0 1 1"),
    "line 6: 'x_1 ² 1 1' is not 'name class species": line("x_1 ² 1 1"),
    r"line 6: 'x 1 1 1+\.\.\.1+' is not 'name": line("x 1 1 " + "1" * 5000),
    "no folder .*pets; say where the official Oxford-IIIT Pet": shutil.rmtree,
}
DAMAGES: dict[Dataset, dict[str, Damage]] = {"isic2017": ISIC, "pets": PETS}


@pytest.mark.parametrize(
    ("dataset", "message"), [(one, text) for one in TREES for text in DAMAGES[one]]
)
def test_a_damaged_tree_is_refused(
    dataset: Dataset, message: str, tmp_path: Path
) -> None:
    root = TREES[dataset](tmp_path / dataset)
    DAMAGES[dataset][message](root)
    with pytest.raises(DataError, match=message):
        open_data(tree_config(dataset, root))


def test_pets_labels_close_the_gaps_of_the_official_numbers(tmp_path: Path) -> None:
    root = make_pets(tmp_path / "pets")
    data = open_data(tree_config("pets", root))
    assert data.class_names == ("pug_test", "Sphynx_test")
    assert data.splits["test"].labels.tolist() == [1, 0, 1, 0]
    assert (len(data.splits["train"]), len(data.splits["val"])) == (9, 1)
    species = open_data(tree_config("pets", root, task="species"))
    assert species.class_names == ("cat", "dog")
    assert species.splits["test"].labels.tolist() == [0, 1, 0, 1]


def test_pets_are_read_as_they_are(tmp_path: Path) -> None:
    data = open_data(tree_config("pets", make_pets(tmp_path / "pets")))
    image: dict[int, Tensor] = {}  # by the number in its name
    mask: dict[int, Tensor] = {}
    for split in (data.splits["train"], data.splits["val"]):
        batch = split.get(range(len(split)))
        rows = split.source.rows.tolist()  # type: ignore[attr-defined]
        image |= dict(zip(rows, batch.image, strict=True))
        mask |= dict(zip(rows, batch.mask, strict=True))
        # A trimap without foreground is no annotation.
        assert batch.annotated.tolist() == [row != 0 for row in rows]
    assert (mask[0] == 1).all()
    # Only the foreground of a trimap is relevant.
    left = (torch.arange(32) < 16).float().expand(32, 32)
    assert torch.equal(mask[5], left)
    assert torch.equal(mask[6], left)
    # Files that aren't what their name says.
    usual = image[5][:, 16, 16]
    for number in (1, 2, 3):
        torch.testing.assert_close(image[number][:, 16, 16], usual, atol=0.05, rtol=0)
    assert image[4].shape == (3, 32, 32)


@pytest.mark.parametrize("damage", ["none", "empty", "half", "text", "other"])
def test_decoded_files_are_kept_and_made_again_where_they_are_broken(
    damage: str, tmp_path: Path
) -> None:
    config = tree_config("pets", make_pets(tmp_path / "pets"))
    cache = tmp_path / "cache"
    first = open_data(config, cache_dir=cache).splits["train"].get([0, 3])
    kept = {path: path.read_bytes() for path in (cache / "decoded").glob("*.pt")}
    assert len(kept) == 2
    for path, whole in kept.items():
        broken = {"empty": b"", "half": whole[: len(whole) // 2], "text": b"hello"}
        path.unlink()
        if damage == "other":
            torch.save({"images": torch.zeros(1), "masks": torch.zeros(1)}, path)
        else:
            path.write_bytes(broken.get(damage, whole))
    again = open_data(config, cache_dir=tmp_path / "./cache").splits["train"]
    assert torch.equal(first.image, again.get([0, 3]).image)
    assert torch.equal(first.mask, again.get([0, 3]).mask)
    for path in kept:
        assert set(torch.load(path, weights_only=True)) == {"images", "masks"}


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"bad\.jpg can't be read as an image"):
        pixels.read_image(tmp_path / "bad.jpg")
    with pytest.raises(DataError, match=r"gone\.jpg is missing; unpack"):
        pixels.read_image(tmp_path / "gone.jpg")
    Image.new("RGB", (4, 4)).save(tmp_path / "colors.png")
    with pytest.raises(DataError, match="3 axes; a mask must be an image of one"):
        pixels.read_mask(tmp_path / "colors.png", "two_values")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_that_unpacks_to_gigabytes_is_reported(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.jpg"
    path.write_bytes(bomb(kind))
    message = "bomb.jpg is too large: 60000 x 60000 px; at most 100000000 px"
    with pytest.raises(DataError, match=message):
        pixels.read_image(path)
    with pytest.raises(DataError, match=message):
        pixels.read_mask(path, "two_values")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_an_image_that_may_not_be_read_is_not_called_damaged() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own are closed to others
        path = Path(name) / "a.jpg"
        save_image(path)
        path.parent.chmod(0o755)
        path.chmod(0)
        os.seteuid(54321)
        try:
            with pytest.raises(DataError, match=f"can't read {path}: .*denied") as told:
                pixels.read_image(path)
        finally:
            os.seteuid(0)
    assert "again" not in str(told.value)


def palette_of(values: NDArray[np.uint8], *colors: int) -> Image.Image:
    image = Image.fromarray(values)
    image.putpalette(colors)
    return image


LEFT = np.array([[1, 1, 0, 0]] * 2, np.uint8)  # the left half is relevant
MASKS: dict[str, Image.Image] = {
    "0 and 255": Image.fromarray(LEFT * np.uint8(255)),
    "1 bit": Image.fromarray(LEFT * np.uint8(255)).convert("1"),
    "0 and 1": Image.fromarray(LEFT),
    "1 and 254": Image.fromarray(LEFT * np.uint8(253) + np.uint8(1)),
    "16 bit": Image.fromarray(LEFT * np.uint16(65_535)),
    "palette": palette_of(LEFT, 0, 0, 0, 255, 255, 255),
    "other palette": palette_of(1 - LEFT, 255, 255, 255, 0, 0, 0),
    "empty": Image.new("L", (2, 1), 0),
    "full": Image.new("L", (2, 1), 255),
    "empty, 1 bit": Image.new("1", (2, 1), 0),
    "full, 1 bit": Image.new("1", (2, 1), 1),
    "full, 16 bit": Image.new("I;16", (2, 1), 65_535),
}


@pytest.mark.parametrize("coding", MASKS)
def test_of_two_values_the_larger_is_relevant(coding: str, tmp_path: Path) -> None:
    MASKS[coding].save(tmp_path / "mask.png")
    alone = {"empty": [[0, 0]], "full": [[1, 1]]}.get(coding.partition(",")[0])
    found = pixels.read_mask(tmp_path / "mask.png", "two_values").tolist()
    assert found == (alone or LEFT.tolist())


@pytest.mark.parametrize(
    ("coding", "values", "message"),
    [
        ("two_values", [0, 3, 255], "has the values 0, 3, 255; a mask must have two"),
        ("two_values", [7, 7], "has the values 7; a mask must have two values, of"),
        ("two_values", [*range(9)], "has the values 0, 1, 2, 3, 4, ...; a mask"),
        ("trimap", [0, 1, 2], "has the values 0, 1, 2; an official trimap has 1"),
        ("trimap", [0, 255], "has the values 0, 255; an official trimap has 1"),
    ],
)
def test_an_unexpected_coding_is_refused(
    coding: pixels.Coding, values: list[int], message: str, tmp_path: Path
) -> None:
    Image.fromarray(np.array([values], np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=message):
        pixels.read_mask(tmp_path / "mask.png", coding)


@pytest.mark.parametrize("limit", [2**30, 0])
def test_an_image_with_an_empty_mask_is_not_annotated(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reff_bench.data.pixels.MEMORY_LIMIT_BYTES", limit)
    root = make_isic(tmp_path / "isic")
    truth = root / "ISIC-2017_Training_Part1_GroundTruth"
    save_mask(truth / "ISIC_0000001_Segmentation.png", (80, 60), 0, 0)
    for _ in range(2):  # the second time from what was kept
        splits = open_data(tree_config("isic2017", root)).splits
        assert splits["train"].annotated.tolist() == [True, False, True]
        empty = [splits[name].empty_masks for name in ("train", "val", "test")]
        assert empty == [1, 0, 0]


def test_masks_that_are_all_empty_are_refused(tmp_path: Path) -> None:
    root = make_isic(tmp_path / "isic")
    for path in (root / "ISIC-2017_Training_Part1_GroundTruth").iterdir():
        save_mask(path, (80, 60), 0, 0)
    with pytest.raises(DataError, match="none of the 3 masks shows anything relevant"):
        open_data(tree_config("isic2017", root))


def cut_isic(root: Path) -> Path:
    """The first eight real images of each split, linked."""
    source = SHARED / "isic2017"
    for part in ("Training", "Validation", "Test_v2"):
        table = f"ISIC-2017_{part}_Part3_GroundTruth.csv"
        lines = (source / table).read_text().splitlines()[:9]
        root.mkdir(exist_ok=True)
        (root / table).write_text("\n".join(lines))
        for kind in ("Data", "Part1_GroundTruth"):
            folder = root / f"ISIC-2017_{part}_{kind}"
            for line in lines[1:]:
                name = line.partition(",")[0]
                for path in (source / folder.name).glob(f"{name}*"):
                    folder.mkdir(exist_ok=True)
                    (folder / path.name).symlink_to(path.resolve())
    return root


def check_split(split: Split) -> None:
    batch = split.get(range(len(split)))
    assert batch.image.isfinite().all()
    share = batch.mask[batch.annotated].mean((1, 2))
    assert ((share > 0) & (share < 1)).all()


@pytest.mark.skipif(
    not (SHARED / "isic2017").is_dir(), reason="no ISIC 2017 in ../shared/data"
)
def test_real_isic_files_are_read(tmp_path: Path) -> None:
    data = open_data(tree_config("isic2017", cut_isic(tmp_path / "isic")))
    assert [len(data.splits[name]) for name in ("train", "val", "test")] == [8, 8, 8]
    check_split(data.splits["train"])
    assert data.splits["val"].annotated.all()
    assert not data.splits["test"].annotated.any()


@pytest.mark.skipif(
    not (SHARED / "oxford-iiit-pet").is_dir(), reason="no Pets in ../shared/data"
)
def test_real_pets_are_read(tmp_path: Path) -> None:
    data = open_data(tree_config("pets", SHARED / "oxford-iiit-pet"))
    assert data.class_names == ("Abyssinian", "Bengal")
    assert [len(data.splits[name]) for name in ("train", "val", "test")] == [90, 10, 99]
    for split in data.splits.values():
        assert set(split.labels.tolist()) <= {0, 1}
        check_split(split)
