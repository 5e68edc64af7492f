from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.places import Places
from tests.random_states import untouched
from tests.texturedmnist.banks import (
    BACKGROUND_CLASSES,
    DIGIT_CLASSES,
    file_index,
    fill_sources,
    make_sources,
    planned,
)
from tests.texturedmnist.tree import EMBEDDED
from texturedmnist import Recipe, TexturedMNIST
from texturedmnist.compose import compose
from texturedmnist.dataset import DeviceSamples
from texturedmnist.generate import plan_build, run_build
from texturedmnist.plan import SamplePlan
from texturedmnist.recipe import SPLITS
from texturedmnist.render_torch import (
    DeviceError,
    DeviceSources,
    bytes_needed,
    free_bytes,
)
from texturedmnist.sources import Sources

# Size of the image and of the digit in px.
LAYOUTS = [
    *((size, size) for size in (28, 29, 32, 33, 64, 100, 224, 300)),
    *((224, 112), (33, 28), (101, 64)),
]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
RENDER = "texturedmnist.render_torch"
SIZE, COUNT = 32, 50
FIELDS: dict[str, Any] = {"bg": 0.5, "tex": 0.5, "image_size": SIZE}
FIELDS |= {"train": COUNT, "val": 10, "test": 10}


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
    sizes = [(33, 47), (51, 33), (33, 33), (90, 60)]
    inside = file_index(DIGIT_CLASSES, (5, 2, 3), sizes)
    outside = file_index(BACKGROUND_CLASSES, (4, 1, 2), sizes)
    return fill_sources(folder, inside, outside)


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
        ("EXACT_INT32", 2),  # sums past 32 bits
        # How many are painted together does not matter.
        *(("PIXELS_AT_ONCE_CPU", n) for n in (1, 3 * 33 * 33, 4 * 33 * 33 + 5)),
    ],
)
def test_large_sums_and_parts_give_the_same_bytes(
    name: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = make_sources(tmp_path, 33, 28)
    plan = planned(sources, 10, digit_size=28)
    monkeypatch.setattr(f"{RENDER}.{name}", value)
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


def test_too_little_memory_is_reported_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = make_sources(tmp_path, 32)
    needed = bytes_needed(sources, "train")
    monkeypatch.setattr(f"{RENDER}.free_bytes", lambda _: needed)
    DeviceSources(sources, "train", "cpu")
    monkeypatch.setattr(f"{RENDER}.free_bytes", lambda _: needed - 1)
    text = r"textures of train need 0\.0 GiB on cpu, wh"
    with pytest.raises(DeviceError, match=text):
        DeviceSources(sources, "train", "cpu")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return make_sources(tmp_path_factory.mktemp("banks"), SIZE)


@pytest.fixture(scope="module")
def rendered(sources: Sources) -> TexturedMNIST:
    return TexturedMNIST.from_sources(Recipe(**FIELDS), sources)


@pytest.fixture(scope="module")
def samples(rendered: TexturedMNIST) -> DeviceSamples:
    return rendered.on_device("cpu")


def assert_equal(
    found: tuple[torch.Tensor, ...], dataset: TexturedMNIST, rows: list[int]
) -> None:
    """Compare a batch with what the dataset reads on the CPU."""
    images, masks, labels = (one.cpu() for one in found)
    assert images.is_contiguous(memory_format=torch.channels_last)
    expected = dataset.read(rows)
    assert images.permute(0, 2, 3, 1).numpy().tobytes() == expected[0].tobytes()
    assert masks.numpy().tobytes() == expected[1].tobytes()
    assert labels.tolist() == expected[2].tolist()
    assert labels.dtype == torch.int64


@pytest.mark.parametrize("device", DEVICES)
def test_a_batch_is_what_a_data_set_reads(rendered: TexturedMNIST, device: str) -> None:
    samples = rendered.on_device(device)
    assert isinstance(samples, DeviceSamples)
    assert len(samples) == COUNT
    assert samples.device.type == device
    for rows in ([3], [7, 7, 49, 0], [-1, 5], []):
        here = torch.tensor(rows, dtype=torch.int64)
        for given in (rows, here, here.to(device)):
            assert_equal(samples.read(given), rendered, rows)
    assert samples.labels.tolist() == rendered.targets.tolist()
    aligned = rendered.columns["background_aligned"].astype(np.int64)
    groups = 2 * rendered.targets.numpy() + aligned
    assert samples.groups.tolist() == groups.tolist()


def test_a_stored_folder_is_rendered_from_its_sources(tmp_path: Path) -> None:
    recipe = Recipe(**FIELDS, **EMBEDDED, embedded_instances=3)
    run_build(plan_build(recipe, tmp_path / "tm", cache_dir=tmp_path / "cache"))
    stored = TexturedMNIST(tmp_path / "tm", cache_dir=tmp_path / "cache")
    rows = [*range(0, COUNT, 3)]
    assert_equal(stored.on_device("cpu").read(rows), stored, rows)


@pytest.mark.parametrize("size", [1, 16, 50, 64])
def test_batches_hold_every_sample_once(samples: DeviceSamples, size: int) -> None:
    batches = [*samples.batches(size)]
    images = torch.cat([batch[0] for batch in batches])
    assert torch.equal(images, samples.read(range(COUNT))[0])
    assert {len(batch[2]) for batch in batches[:-1]} <= {size}
    whole = [*samples.batches(size, drop_last=True)]
    assert len(whole) == COUNT // size
    assert all(len(batch[2]) == size for batch in whole)


def test_the_generator_alone_draws_the_order(samples: DeviceSamples) -> None:
    generator = torch.Generator().manual_seed(3)
    with untouched():
        passes = [read_all(samples, generator) for _ in range(2)]
        again = read_all(samples, torch.Generator().manual_seed(3))
    assert torch.equal(again, passes[0])
    assert not torch.equal(passes[0], passes[1])
    assert torch.equal(passes[0].sort(dim=0)[0], passes[1].sort(dim=0)[0])


def read_all(samples: DeviceSamples, generator: torch.Generator) -> torch.Tensor:
    """Return a number per image that tells the images apart, in the order drawn."""
    batches = samples.batches(16, generator=generator)
    return torch.cat([images.flatten(1).long().sum(1) for images, _, _ in batches])


@pytest.mark.parametrize("role", ["background_texture", "digit_texture"])
def test_counterfactuals_are_the_dataset_s(
    samples: DeviceSamples, rendered: TexturedMNIST, role: str
) -> None:
    counterfactuals = samples.counterfactuals(role)
    rows = [4, 40, 4]
    images, _, labels = counterfactuals.read(rows)
    for k, (image, label) in enumerate(rendered.get_counterfactuals(rows, role)):
        assert images[k].permute(1, 2, 0).numpy().tobytes() == image.tobytes()
        assert labels[k] == label
    assert not torch.equal(images, samples.read(rows)[0])
    with pytest.raises(ValueError, match="unknown role 'label'"):
        counterfactuals.counterfactuals("label")


def test_data_sets_share_textures(sources: Sources, samples: DeviceSamples) -> None:
    recipe = Recipe(**{**FIELDS, "bg": 1.0})
    other = TexturedMNIST.from_sources(recipe, sources)
    second = other.on_device(samples.sources)
    assert second.sources is samples.sources
    assert_equal(second.read(range(COUNT)), other, [*range(COUNT)])


def test_nothing_waits_for_the_device(rendered: TexturedMNIST) -> None:
    # Tensors of the meta device have no values: to wait for one is an error there.
    samples = rendered.on_device("meta")
    generator = torch.Generator().manual_seed(0)
    batches = samples.batches(20, generator=generator)
    shapes = [tuple(one.shape for one in batch) for batch in batches]
    assert [shape[0][0] for shape in shapes] == [20, 20, 10]
    assert shapes[0] == ((20, 3, SIZE, SIZE), (20, SIZE, SIZE), (20,))
    rows = torch.zeros(3, dtype=torch.int64, device="meta")
    assert samples.counterfactuals().read(rows)[0].shape == (3, 3, SIZE, SIZE)


@pytest.mark.gpu
def test_nothing_waits_for_a_gpu(rendered: TexturedMNIST) -> None:
    samples = rendered.on_device("cuda")
    samples.read([0, 1])  # what is kept after the first use may be waited for
    batches = samples.batches(20, generator=torch.Generator().manual_seed(0))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in batches:
            pass
        samples.read([1, 2, 3])
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_indices_are_checked(samples: DeviceSamples, rendered: TexturedMNIST) -> None:
    for index in (COUNT, -COUNT - 1):
        with pytest.raises(IndexError, match="out of range: train has 50 samples"):
            samples.read([0, index])
    for wrong in ([0.5], torch.ones(COUNT, dtype=torch.bool)):
        text = r"indices are of type .*; they must be int64"
        with pytest.raises(TypeError, match=text):
            samples.read(wrong)  # type: ignore[arg-type]
    mask = torch.ones(COUNT, dtype=torch.bool, device="meta")
    with pytest.raises(TypeError, match=r"type torch\.bool; they must be int64"):
        rendered.on_device("meta").read(mask)
    with pytest.raises(ValueError, match="batch_size is 0; it must be at least 1"):
        samples.batches(0)


def test_textures_of_other_samples_are_refused(
    rendered: TexturedMNIST, sources: Sources, tmp_path: Path
) -> None:
    with pytest.raises(DeviceError, match="has textures that test hasn't, and only"):
        rendered.on_device(DeviceSources(sources, "test", "cpu"))
    others = make_sources(tmp_path, SIZE)
    others.digests["digits"] = "other"
    with pytest.raises(DeviceError, match="are of other sources than the samples"):
        rendered.on_device(DeviceSources(others, "train", "cpu"))
