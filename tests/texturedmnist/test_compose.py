import importlib
import json
import platform
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from tests.python import run_python
from tests.texturedmnist.banks import make_sources, planned
from tests.texturedmnist.tree import REAL_DATA, needs_real_data
from texturedmnist.compose import compose, empty_samples, enlarge_digits
from texturedmnist.plan import SamplePlan, plan_samples
from texturedmnist.recipe import DTD_CLASSES, SPLITS, Recipe
from texturedmnist.sources import Sources, load_digits, open_sources

SIZES = (28, 29, 32, 33, 64, 100, 112, 224, 300, 501, 512)
# Size of the image and of the digit in px.
LAYOUTS = [
    *((size, size) for size in (28, 32, 64, 100, 224, 300, 512)),
    *((224, 112), (33, 28), (33, 29), (64, 28), (101, 64)),
]


def some_digits() -> NDArray[np.uint8]:
    """Return (13, 28, 28) uint8: noise, steps that hit the half exactly, digits."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (3, 28, 28), np.uint8)
    near = rng.integers(126, 130, (2, 28, 28), np.uint8)
    black_or_white = rng.integers(0, 2, (2, 28, 28), np.uint8) * np.uint8(255)
    board = (np.indices((28, 28)).sum(axis=0) % 2 * 255).astype(np.uint8)
    flat = np.array([0, 127, 128, 255], np.uint8)[:, None, None]
    digits = load_digits("embedded", Path()).images[:1]
    full = np.broadcast_to(flat, (4, 28, 28))
    return np.concatenate([noise, near, black_or_white, board[None], full, digits])


def reference_weights(size: int) -> NDArray[np.int64]:
    """Return the (size, 28) weights out of 2 * size, from exact fractions."""
    weights = np.zeros((size, 28), np.int64)
    for pixel in range(size):
        center = (pixel + Fraction(1, 2)) * 28 / size - Fraction(1, 2)
        share = center - floor(center)
        for neighbor, weight in ((0, 1 - share), (1, share)):
            whole = weight * 2 * size
            assert whole.denominator == 1
            weights[pixel, min(max(floor(center) + neighbor, 0), 27)] += int(whole)
    return weights


def reference_masks(digits: NDArray[np.uint8], size: int) -> NDArray[np.bool_]:
    """Enlarge bilinearly and compare with half of 255, in 64-bit integers."""
    weights = reference_weights(size)
    sums = weights @ digits.astype(np.int64) @ weights.T
    enlarged: NDArray[np.bool_] = 2 * sums >= 255 * (2 * size) ** 2
    return enlarged


def crop(image: NDArray[np.uint8], y: int, x: int, size: int) -> NDArray[np.uint8]:
    return image[y : y + size, x : x + size]


def reference_sample(
    plan: SamplePlan, sources: Sources, k: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint one sample in the plainest way."""
    inside, outside = plan.digit_texture, plan.background_texture
    ground = sources.background_textures.image(outside.file[k])
    image = crop(ground, outside.y[k], outside.x[k], outside.size).copy()
    texture = sources.digit_textures.image(inside.file[k])
    paint = crop(texture, inside.y[k], inside.x[k], inside.size)
    digit = sources.digits.images[plan.digit[k]][None]
    shape = reference_masks(digit, inside.size)[0]
    mask = np.zeros(image.shape[:2], np.uint8)
    crop(mask, plan.y[k], plan.x[k], inside.size)[shape] = 1
    crop(image, plan.y[k], plan.x[k], inside.size)[shape] = paint[shape]
    return image, mask


@pytest.mark.parametrize("size", SIZES)
def test_masks_equal_the_exact_reference(size: int) -> None:
    digits = some_digits()
    found = enlarge_digits(digits, size)
    assert found.shape == (len(digits), size, size)
    assert found.dtype == np.bool_
    assert np.array_equal(found, reference_masks(digits, size))


@pytest.mark.parametrize("size", SIZES)
def test_masks_equal_torchs_enlargement_but_for_its_rounding(size: int) -> None:
    digits = some_digits()
    large = F.interpolate(
        torch.from_numpy(digits)[:, None].double(),
        size=(size, size),
        mode="bilinear",
        align_corners=False,
    )[:, 0].numpy()
    differ = enlarge_digits(digits, size) != (large >= 127.5)
    # Only pixels that are 127.5 exactly, which torch's rounding may bring below.
    assert np.abs(large[differ] - 127.5).max(initial=0) < 1e-10
    weights = reference_weights(size)
    exact = weights @ digits.astype(np.int64) @ weights.T
    assert (2 * exact == 255 * (2 * size) ** 2)[differ].all()


def check_painted(plan: SamplePlan, sources: Sources) -> None:
    """Compare all planned samples with the plainest way to paint them."""
    images, masks = compose(plan, sources)
    assert images.dtype == masks.dtype == np.uint8
    for k in range(len(plan)):
        image, mask = reference_sample(plan, sources, k)
        assert mask.any()
        assert np.array_equal(masks[k], mask)
        assert np.array_equal(images[k], image)


@pytest.mark.parametrize(("image_size", "digit_size"), LAYOUTS)
def test_pixels_are_their_textures_by_mask(
    tmp_path: Path, image_size: int, digit_size: int
) -> None:
    sources = make_sources(tmp_path, image_size, digit_size)
    count = 30 if image_size < 99 else 4
    check_painted(planned(sources, count, digit_size=digit_size), sources)


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize(("image_size", "digit_size"), [(33, 33), (100, 29)])
def test_the_size_of_a_batch_does_not_matter_nor_where_it_is_written(
    tmp_path: Path, batch: int, image_size: int, digit_size: int
) -> None:
    sources = make_sources(tmp_path, image_size, digit_size)
    plan = planned(sources, 70, digit_size=digit_size)
    whole = compose(plan, sources)
    given = empty_samples(70, image_size)
    for array in given:
        array[...] = 77
    for start in range(0, 70, batch):
        part = slice(start, start + batch)
        out = given[0][part], given[1][part]
        for found in (compose(plan.take(part), sources, out), out):
            assert np.array_equal(found[0], whole[0][part])
            assert np.array_equal(found[1], whole[1][part])
    images, masks = compose(plan.take(slice(0)), sources)
    assert images.shape == (0, image_size, image_size, 3)
    assert masks.shape == (0, image_size, image_size)


def test_composing_leaves_the_sources_as_they_are(tmp_path: Path) -> None:
    sources = make_sources(tmp_path, 32)
    assert not sources.digit_textures.image(0).flags.writeable
    before = sources.digits.images.copy(), (tmp_path / "out").read_bytes()
    images, _ = compose(planned(sources), sources)
    images[...] = 0
    assert np.array_equal(sources.digits.images, before[0])
    assert (tmp_path / "out").read_bytes() == before[1]


def assert_coupled(name: str, sources: Sources, count: int, **fields: Any) -> None:
    """From 0.2 to 0.4 only the texture of samples drawn between may change."""
    role = {"bg": "background_texture", "tex": "digit_texture"}[name]
    ends: list[dict[str, Any]] = [{name: 0.2}, {name: 0.4}]
    plans = [planned(sources, count, **fields, **end) for end in ends]
    (before, masks), (after, same_masks) = (compose(one, sources) for one in plans)
    low, high = (getattr(one, role) for one in plans)
    between = (low.draw >= 0.2) & (low.draw < 0.4)
    assert 0 < between.sum() < count
    assert np.array_equal(masks, same_masks)
    changed = (before != after).any(axis=-1)
    assert not (changed & (masks == (name == "bg"))).any()
    assert not changed[~between].any()
    assert np.array_equal(changed.any(axis=(1, 2)), low.number != high.number)


@pytest.mark.parametrize("name", ["bg", "tex"])
def test_from_02_to_04_no_other_byte_changes(name: str, tmp_path: Path) -> None:
    assert_coupled(name, make_sources(tmp_path, 32, 28), 300, digit_size=28)


def real_recipe(**fields: Any) -> Recipe:
    chosen = {"background_textures": "embedded", "embedded_instances": 3}
    return Recipe(**{"bg": 0.2, "tex": 0.5, "image_size": 32, **chosen, **fields})


def open_real(recipe: Recipe, cache_dir: Path) -> Sources:
    return open_sources(recipe, data_root=REAL_DATA, cache_dir=cache_dir)


@pytest.fixture(scope="module")
def real_sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return open_real(real_recipe(), tmp_path_factory.mktemp("cache"))


@needs_real_data
def test_real_samples_are_as_planned(real_sources: Sources, tmp_path: Path) -> None:
    for split in SPLITS:
        plan = plan_samples(real_recipe(), real_sources.index, split, np.arange(40))
        check_painted(plan, real_sources)
    assert_coupled("bg", real_sources, 200)
    inside, outside = DTD_CLASSES[:10], DTD_CLASSES[30:40]
    assignment = {"digit_textures": inside, "background_textures": outside}
    recipe = real_recipe(image_size=224, digit_size=112, ties=assignment)  # the paper's
    sources = open_real(recipe, tmp_path)
    check_painted(plan_samples(recipe, sources.index, "train", np.arange(6)), sources)


@needs_real_data
def test_real_splits_share_no_file_and_hold_every_label(real_sources: Sources) -> None:
    recipe = real_recipe()
    assert real_sources.digits.development == 60_000
    counts = {}
    for split in SPLITS[:3]:
        indices = np.arange(recipe.count(split))
        plan = plan_samples(recipe, real_sources.index, split, indices)
        counts[split] = np.bincount(plan.label, minlength=10)
        files = plan.digit_texture.file
        part = real_sources.digit_textures.partition[files]
        assert set(part.tolist()) == {SPLITS.index(split)}
        known = real_sources.digits.labels[plan.digit]
        assert np.array_equal(known, plan.label)
    # MNIST's own: labels of its 60,000 and of its 10,000.
    whole = counts["train"] + counts["val"]
    assert whole.tolist() == [
        *(5_923, 6_742, 5_958, 6_131, 5_842),
        *(5_421, 5_918, 6_265, 5_851, 5_949),
    ]
    assert counts["test"].tolist() == [
        *(980, 1_135, 1_032, 1_010, 982),
        *(892, 958, 1_028, 974, 1_009),
    ]
    assert (np.abs(counts["val"] * 10 / whole - 1) < 0.15).all()
    assert counts["train"].sum() == 54_000
    assert [*np.bincount(real_sources.digit_textures.class_of)] == [40] * 10


DIGEST = """
import hashlib, json, sys
from pathlib import Path
import numpy as np
from texturedmnist.compose import compose
from texturedmnist.plan import plan_samples
from texturedmnist.recipe import Recipe
from texturedmnist.sources import open_sources
from numpy._core._multiarray_umath import __cpu_features__ as features
recipe = Recipe(bg=0.5, tex=0.5, image_size=33, digit_size=29, digits="embedded",
                digit_textures="embedded", background_textures="embedded",
                embedded_instances=3)
sources = open_sources(recipe, cache_dir=Path(sys.argv[1]))
plan = plan_samples(recipe, sources.index, "train", np.arange(100))
images, masks = compose(plan, sources)
pixels = hashlib.sha256(images.tobytes() + masks.tobytes()).hexdigest()
enabled = [name for name in sys.argv[2:] if features[name]]
print(json.dumps([pixels, sources.digests, enabled]))
"""


def test_embedded_samples_do_not_depend_on_the_cpu(tmp_path: Path) -> None:
    umath: Any = importlib.import_module("numpy._core._multiarray_umath")
    # The features of this CPU that numpy chooses at run time.
    names = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]
    env = {"NPY_DISABLE_CPU_FEATURES": " ".join(names), "OPENBLAS_NUM_THREADS": "1"}
    if platform.machine() in ("x86_64", "AMD64"):
        env["OPENBLAS_CORETYPE"] = "Nehalem"  # the matrix products of an old CPU
    new = run_python("-c", DIGEST, tmp_path / "new", *names).stdout
    old = run_python("-c", DIGEST, tmp_path / "old", *names, env=env).stdout
    *digests, enabled = json.loads(new)
    assert enabled == names
    assert json.loads(old) == [*digests, []]
