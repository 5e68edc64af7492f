from pathlib import Path

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.places import Places
from tests.texturedmnist.banks import TIES, file_index, make_bank, make_sources, planned
from texturedmnist.compose import compose
from texturedmnist.plan import SamplePlan
from texturedmnist.recipe import SPLITS
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


def check_bytes(
    sources: Sources, plan: SamplePlan, device: str = "cpu", split: str = "train"
) -> None:
    """Compare what a device renders with what numpy composes."""
    on_device = DeviceSources(sources, split, device)
    for found, expected in zip(
        on_device.render(on_device.place(plan)), compose(plan, sources), strict=True
    ):
        assert found.is_contiguous()
        assert found.dtype == torch.uint8
        assert found.shape == expected.shape
        assert found.cpu().numpy().tobytes() == expected.tobytes()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("image_size", "digit_size"), LAYOUTS)
def test_the_bytes_are_those_of_numpy(
    image_size: int, digit_size: int, device: str, tmp_path: Path
) -> None:
    sources = make_sources(tmp_path, image_size, digit_size)
    check_bytes(sources, planned(sources, 5, digit_size=digit_size), device)


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
        digit_textures=make_bank(folder / "in", within),
        background_textures=make_bank(folder / "out", around),
        index=SourceIndex(labels, 60, TIES, within, around),
        digests={},
    )


@pytest.mark.parametrize("device", DEVICES)
def test_every_split_has_its_own_textures(device: str, tmp_path: Path) -> None:
    sources = uneven_sources(tmp_path)
    for split in SPLITS:
        plan = planned(sources, 60, split, image_size=33, digit_size=28)
        check_bytes(sources, plan, device, split)


@pytest.mark.parametrize("device", DEVICES)
def test_the_ends_of_the_enlargement_are_exact(device: str, tmp_path: Path) -> None:
    sources = make_sources(tmp_path, 29)
    digits = sources.digits.images
    rng = np.random.default_rng(2)
    digits[:30] = rng.integers(126, 130, (30, 28, 28))  # sums near the half
    digits[30:60] = rng.integers(0, 2, (30, 28, 28)) * 255  # sums that hit it
    check_bytes(sources, planned(sources, 54), device)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enlarge.EXACT_INT32", 2),  # sums past 32 bits
        # How many are painted together does not matter.
        *(("render.PIXELS_AT_ONCE_CPU", n) for n in (1, 3 * 33 * 33, 4 * 33 * 33 + 5)),
    ],
)
def test_large_sums_and_parts_give_the_same_bytes(
    name: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = make_sources(tmp_path, 33, 28)
    plan = planned(sources, 10, digit_size=28)
    monkeypatch.setattr(f"texturedmnist.render_torch.{name}", value)
    weights = DeviceSources(sources, "train", "cpu").place(plan).taps.weights
    assert (weights.dtype == torch.int64) == ("INT32" in name)
    check_bytes(sources, plan)


@pytest.mark.slow
def test_the_least_size_with_sums_past_32_bits_is_exact(tmp_path: Path) -> None:
    sources = make_sources(tmp_path, 1460, 1451)
    check_bytes(sources, planned(sources, 2, digit_size=1451))


def test_every_operation_stays_on_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{RENDER}.free_bytes", lambda _: None)
    sources = make_sources(tmp_path, 64, 28)
    plan = planned(sources, 20, digit_size=28)
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
