from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.places import Places
from tests.texturedmnist.banks import TIES, file_index, make_bank, make_sources, noise
from texturedmnist.compose import compose
from texturedmnist.plan import SamplePlan, plan_samples
from texturedmnist.recipe import SPLITS, Recipe
from texturedmnist.render_torch import (
    DeviceError,
    DeviceSources,
    bytes_needed,
    free_bytes,
)
from texturedmnist.sources import Digits, SourceIndex, Sources

# Size of the image and of the digit in px.
LAYOUTS = [
    *((size, size) for size in (28, 29, 32, 33, 64, 100, 224, 300)),
    *((224, 112), (33, 28), (101, 64)),
]
ON_A_GPU = pytest.param("cuda", marks=pytest.mark.gpu)
DEVICES = ["cpu", ON_A_GPU]
RENDER = "texturedmnist.render_torch.render"

Rendered = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def planned(
    sources: Sources, indices: list[int] | range, split: str = "train", **fields: Any
) -> SamplePlan:
    size = sources.background_textures.index.heights.min().item()
    recipe = Recipe(**{"bg": 0.5, "tex": 0.5, "image_size": size, **fields})
    return plan_samples(recipe, sources.index, split, np.array(indices, np.int64))


def render(sources: DeviceSources, plan: SamplePlan) -> Rendered:
    images, masks = sources.render(sources.place(plan))
    assert images.is_contiguous()
    assert (images.dtype, masks.dtype) == (torch.uint8, torch.uint8)
    return images.cpu().numpy(), masks.cpu().numpy()


def assert_same_bytes(ours: Rendered, theirs: Rendered) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("image_size", "digit_size"), LAYOUTS)
def test_the_bytes_are_those_of_numpy(
    image_size: int, digit_size: int, device: str, tmp_path: Path
) -> None:
    sources = make_sources(tmp_path, image_size, digit_size)
    plan = planned(sources, range(5), digit_size=digit_size)
    found = render(DeviceSources(sources, "train", device), plan)
    assert_same_bytes(found, compose(plan, sources))
    assert 0 < found[1].mean() < 1


@pytest.mark.parametrize("device", DEVICES)
def test_every_split_has_its_own_textures(device: str, tmp_path: Path) -> None:
    sources = uneven_sources(tmp_path)
    for split in SPLITS:
        on_device = DeviceSources(sources, split, device)
        plan = planned(sources, range(60), split, image_size=33, digit_size=28)
        assert_same_bytes(render(on_device, plan), compose(plan, sources))


def uneven_sources(folder: Path) -> Sources:
    """Several files per class, another number in each partition, of four sizes."""
    digits = np.random.default_rng(0).integers(0, 256, (70, 28, 28), np.uint8)
    sizes = [(33, 47), (51, 33), (33, 33), (90, 60)]
    within = file_index(TIES.digit_textures, (5, 2, 3), sizes)
    names = [name for several in TIES.background_textures for name in several]
    around = file_index(sorted(names), (4, 1, 2), sizes)
    labels = (np.arange(70) % 10).astype(np.uint8)
    return Sources(
        digits=Digits(digits, labels, 60, ""),
        digit_textures=make_bank(folder / "in", within, noise),
        background_textures=make_bank(folder / "out", around, noise),
        index=SourceIndex(labels, 60, TIES, within, around),
        digests={},
    )


@pytest.mark.parametrize("device", DEVICES)
def test_the_ends_of_the_enlargement_are_exact(device: str, tmp_path: Path) -> None:
    sources = make_sources(tmp_path, 29)
    digits = sources.digits.images
    rng = np.random.default_rng(2)
    digits[:30] = rng.integers(126, 130, (30, 28, 28))  # sums near the half
    digits[30:60] = rng.integers(0, 2, (30, 28, 28)) * 255  # sums that hit it
    plan = planned(sources, range(54))
    found = render(DeviceSources(sources, "train", device), plan)
    assert_same_bytes(found, compose(plan, sources))


def test_sums_past_32_bits_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("texturedmnist.render_torch.enlarge.EXACT_INT32", 2)
    sources = make_sources(tmp_path, 33, 28)
    plan = planned(sources, range(10), digit_size=28)
    on_device = DeviceSources(sources, "train", "cpu")
    assert on_device.place(plan).taps.weights.dtype == torch.int64
    assert_same_bytes(render(on_device, plan), compose(plan, sources))


@pytest.mark.slow
def test_the_least_size_with_sums_past_32_bits_is_exact(tmp_path: Path) -> None:
    sources = make_sources(tmp_path, 1460, 1451)
    plan = planned(sources, range(2), digit_size=1451)
    found = render(DeviceSources(sources, "train", "cpu"), plan)
    assert_same_bytes(found, compose(plan, sources))


@pytest.mark.parametrize("pixels", [1, 3 * 33 * 33, 4 * 33 * 33 + 5])
def test_how_many_are_painted_together_does_not_matter(
    pixels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = make_sources(tmp_path, 33, 28)
    plan = planned(sources, range(10), digit_size=28)
    monkeypatch.setattr(f"{RENDER}.PIXELS_AT_ONCE_CPU", pixels)
    found = render(DeviceSources(sources, "train", "cpu"), plan)
    assert_same_bytes(found, compose(plan, sources))


def test_every_operation_stays_on_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{RENDER}.free_bytes", lambda _: None)
    sources = make_sources(tmp_path, 64, 28)
    plan = planned(sources, range(20), digit_size=28)
    with FakeTensorMode(allow_non_fake_inputs=True):
        on_device = DeviceSources(sources, "train", "cuda")
        placed = on_device.place(plan)
        rows = torch.zeros(7, dtype=torch.int64, device="cuda")
        with Places() as seen:
            images, masks = on_device.render(placed.take(rows))
    assert seen.devices == {"cuda"}
    assert images.shape == (7, 64, 64, 3)
    assert masks.shape == (7, 64, 64)


@pytest.mark.parametrize("device", DEVICES)
def test_the_free_memory_of_a_gpu_alone_is_known(device: str) -> None:
    free = free_bytes(torch.device(device))
    if device == "cpu":
        assert free is None
    else:
        most = torch.cuda.get_device_properties(0).total_memory
        assert free is not None
        assert 0 < free <= most


def test_only_what_a_split_can_have_is_loaded(tmp_path: Path) -> None:
    sources = uneven_sources(tmp_path)
    needed = {split: bytes_needed(sources, split) for split in SPLITS}
    banks = sources.digit_textures, sources.background_textures
    digits = sources.digits.images.nbytes
    whole = sum(bank.path.stat().st_size for bank in banks) // 3 * 4
    assert needed["val"] == needed["val_shifted"] < needed["test"] < needed["train"]
    parts = (needed[name] - digits for name in ("train", "val", "test"))
    assert sum(parts) == whole


def test_too_little_memory_is_told_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = make_sources(tmp_path, 32)
    free, name = [bytes_needed(sources, "train")], f"{RENDER}.free_bytes"
    monkeypatch.setattr(name, lambda _: free[0])
    DeviceSources(sources, "train", "cpu")
    free[0] -= 1
    text = r"textures of train need 0\.0 GiB on cpu, wh"
    with pytest.raises(DeviceError, match=text):
        DeviceSources(sources, "train", "cpu")
