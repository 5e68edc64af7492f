from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import v2

from reff_bench.data.batch import Batch
from reff_bench.data.on_device import (
    DevicePixels,
    NoRoomError,
    RenderedPixels,
    StoredPixels,
    ahead,
    has_room,
    prefetch,
    require_room,
    resolve_device,
    store_pixels,
)
from reff_bench.data.opening import open_data
from reff_bench.data.pixels import IndexedPixels, MemoryPixels
from reff_bench.data.split import Data, Split
from reff_bench.data.transforms import IMAGENET_MEAN, IMAGENET_STD, normalize
from tests.places import Places
from tests.reff_bench.small import RECIPE, small_config, stored_config
from tests.reff_bench.trees import TREES, Dataset, tree_config
from texturedmnist import TexturedMNIST
from texturedmnist.common.cache import Cache
from texturedmnist.recipe import Recipe

COUNT, SIZE = 90, 28
CPU = torch.device("cpu")
NAMES = ("image", "label", "mask", "annotated", "group", "index")
Kind = Literal["stored", "rendered"]


@pytest.fixture(params=[0, 2**30], ids=["rendered", "in memory"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many bytes of pixels are kept in memory."""
    monkeypatch.setattr("reff_bench.data.pixels.MEMORY_LIMIT_BYTES", request.param)
    return int(request.param)


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every device has room: a stand-in for a GPU's memory."""
    for where in ("on_device", "batch"):
        monkeypatch.setattr(f"reff_bench.data.{where}.has_room", lambda *_: True)


def assert_same(ours: Batch, theirs: Batch) -> None:
    for name in NAMES:
        one, other = getattr(ours, name), getattr(theirs, name)
        assert one.dtype == other.dtype
        assert torch.equal(one.cpu(), other), name


def random_order(count: int = COUNT) -> Sequence[Tensor]:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    return torch.split(order, 32)


def with_pseudo(split: Split) -> Split:
    rng = np.random.default_rng(0)
    pseudo = rng.integers(0, 256, (len(split), SIZE, SIZE), np.uint8)
    return split.with_masks(np.arange(len(split)) % 3 == 0, pseudo)


def device_split(split: Split, kind: Kind) -> Split:
    """The split with the same pixels once more, on a device that is the CPU."""
    on_device: DevicePixels
    if kind == "stored":
        on_device = store_pixels(split.source, len(split), SIZE, CPU)
    else:
        dataset = TexturedMNIST.from_recipe(Recipe(**RECIPE))
        on_device = RenderedPixels(dataset.on_device("cpu"))
    return replace(split, source=_Unread(), on_device=on_device)


class _Unread:
    def read(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        raise AssertionError("the pixels are on the device")


@pytest.mark.parametrize("kind", ["stored", "rendered"])
@pytest.mark.parametrize("pseudo", [False, True])
@pytest.mark.usefixtures("roomy")
def test_batches_on_a_device_are_the_same(data: Data, kind: Kind, pseudo: bool) -> None:
    theirs = data.splits["train"]
    ours = device_split(theirs, kind)
    if pseudo:
        ours, theirs = with_pseudo(ours), with_pseudo(theirs)
    flipped = torch.arange(COUNT) % 2 == 0
    for flips in (None, flipped):
        found = ours.batches(random_order(), flipped=flips)
        expected = theirs.batches(random_order(), flipped=flips)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
            layout = torch.channels_last
            assert flips is not None or one.image.is_contiguous(memory_format=layout)
    assert_same(ours.get([5, 5, 0]), theirs.get([5, 5, 0]))


@pytest.mark.usefixtures("roomy")
def test_a_part_of_the_pixels_is_a_split_too(data: Data) -> None:
    train = data.splits["train"]
    rows = torch.tensor([8, 3, 3, 50])
    part = IndexedPixels(store_pixels(train.source, COUNT, SIZE, CPU), rows)
    found = part.read(torch.tensor([3, 0]))
    expected = train.source.read(torch.tensor([50, 8]))
    assert all(map(torch.equal, found, expected))
    assert part.device == CPU


@pytest.mark.usefixtures("roomy")
def test_what_is_opened_for_a_device_is_the_same(data: Data, limit: int) -> None:
    opened = open_data(small_config())
    assert opened.identity == data.identity
    kind = StoredPixels if limit else RenderedPixels
    for name, split in opened.splits.items():
        assert isinstance(split.on_device, kind)
        assert_same(split.get([0, 7, 3]), data.splits[name].get([0, 7, 3]))
    if not limit:
        val, shifted = (opened.splits[one].on_device for one in ("val", "val_shifted"))
        assert isinstance(val, RenderedPixels)
        assert isinstance(shifted, RenderedPixels)
        assert val.samples.sources is shifted.samples.sources


@pytest.mark.usefixtures("roomy")
def test_runs_that_differ_in_randomness_share_the_textures_on_a_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reff_bench.data.pixels.MEMORY_LIMIT_BYTES", 0)
    cache = Cache()
    opened = [open_data(small_config(bg=bg), cache=cache) for bg in (0.0, 1.0, 0.0)]
    devices = [one.splits["train"].on_device for one in opened]
    assert devices[0] is devices[2]
    sources = [one.samples.sources for one in devices if type(one) is RenderedPixels]
    assert sources[0] is sources[1]


@pytest.mark.usefixtures("roomy")
def test_a_stored_folder_lives_on_a_device(
    data: Data, stored: Path, limit: int
) -> None:
    for name, split in open_data(stored_config(stored)).splits.items():
        assert isinstance(split.on_device, StoredPixels)
        assert isinstance(split.source, MemoryPixels) == (limit > 0)
        assert_same(split.get([2, 9]), data.splits[name].get([2, 9]))


@pytest.mark.parametrize("dataset", TREES)
@pytest.mark.usefixtures("roomy")
def test_photographs_live_on_a_device(dataset: Dataset, tmp_path: Path) -> None:
    config = tree_config(dataset, TREES[dataset](tmp_path / "tree"))
    for split in open_data(config).splits.values():
        rows = range(len(split))
        assert split.on_device is not None
        assert_same(split.get(rows), replace(split, on_device=None).get(rows))


@pytest.mark.usefixtures("roomy", "limit")
def test_no_batch_awaits_a_device() -> None:
    # Tensors of the meta device have no values: to wait for one is an error there.
    split = with_pseudo(open_data(small_config(), device="meta").splits["train"])
    flipped = torch.arange(COUNT) % 2 == 0
    batches = [*split.batches(random_order(), device="meta", flipped=flipped)]
    assert [len(batch) for batch in batches] == [32, 32, 26]
    for name in NAMES:
        assert getattr(batches[0], name).device.type == "meta"
    assert batches[0].image.shape == (32, 3, SIZE, SIZE)
    assert batches[0].mask.shape == (32, SIZE, SIZE)
    assert [len(batch) for batch in split.in_order(40, "meta")] == [40, 40, 10]


@pytest.mark.usefixtures("roomy")
def test_every_operation_of_a_batch_stays_on_a_gpu(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    train = data.splits["train"]
    with FakeTensorMode(allow_non_fake_inputs=True):
        masks = torch.zeros(COUNT, SIZE, SIZE, dtype=torch.uint8, device="cuda")
        on_device = StoredPixels(torch.stack([masks] * 3, dim=-1), masks)
        split = with_pseudo(replace(train, source=_Unread(), on_device=on_device))
        batches = split.batches(random_order(), device="cuda")
        next(batches)  # what all batches need is brought there with the first
        with Places() as seen:
            assert [len(batch) for batch in batches] == [32, 26]
    assert seen.devices == {"cuda"}


def test_without_room_pixels_are_read_on_the_cpu_and_sent() -> None:
    split = with_pseudo(open_data(small_config(), device="meta").splits["train"])
    assert split.on_device is None
    sizes = [len(batch) for batch in split.batches(random_order(), device="meta")]
    assert sizes == [32, 32, 26]


def test_only_half_of_a_gpu_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_room(1, CPU)
    with pytest.raises(NoRoomError, match="no room for 1 bytes on cpu"):
        require_room(1, CPU)
    monkeypatch.setattr("reff_bench.data.on_device.free_bytes", lambda _: 70)
    properties = type("Properties", (), {"total_memory": 100})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    gpu = torch.device("cuda", 0)
    assert has_room(20, gpu)
    assert not has_room(21, gpu)


def test_a_gpu_without_number_is_the_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert resolve_device("cuda") == torch.device("cuda", 3)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    assert resolve_device("cpu") == CPU


def test_images_are_normalized_to_the_bit_as_torchvision_does() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    image = values.view(1, 1, 16, 16).expand(2, 3, 16, 16)
    scaled = v2.functional.to_dtype(image, torch.float32, scale=True)
    mean, deviation = [*IMAGENET_MEAN], [*IMAGENET_STD]
    expected = v2.functional.normalize(scaled, mean, deviation)
    assert torch.equal(normalize(image), expected)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_what_is_read_ahead_comes_in_order(depth: int) -> None:
    assert [*ahead(iter(range(7)), depth)] == [*range(7)]
    assert [*ahead(iter(()), depth)] == []


def test_no_more_is_read_ahead_than_asked_for() -> None:
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1, 100):
            read.append(number)
            yield number

    several = ahead(numbers(), depth=3)
    assert next(several) == 1
    several.close()  # type: ignore[attr-defined]
    assert read[-1] <= 4


def test_an_error_of_reading_ahead_is_told_where_it_belongs() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    several = ahead(broken())
    assert next(several) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(several)


def test_what_stays_on_the_cpu_is_handed_on() -> None:
    item = (torch.ones(2), torch.zeros(3))
    (sent,) = prefetch(iter([item]), CPU)
    assert sent is item


class _Stream:
    """Stands for a stream of a GPU; writes down what is asked of it."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log, self.device = name, log, CPU

    def __enter__(self) -> None:
        self.log.append(f"on {self.name}")

    def __exit__(self, *_: object) -> None:
        self.log.append(f"off {self.name}")

    def record_event(self) -> str:
        return f"event of {self.name}"

    def wait_event(self, event: str) -> None:
        self.log.append(f"{self.name} waits for {event}")


def test_a_gpu_waits_for_a_copy_and_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    current = _Stream("training", log)
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: _Stream("copies", log))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: current)
    monkeypatch.setattr(Tensor, "pin_memory", lambda one: one)
    used = lambda _, stream: log.append(f"used by {stream.name}")  # noqa: E731
    monkeypatch.setattr(Tensor, "record_stream", used)
    monkeypatch.setattr(Tensor, "to", lambda one, *_, **__: one)
    items = [(torch.full((2,), k), torch.zeros(1)) for k in range(4)]
    sent = [*prefetch(iter(items), torch.device("cuda", 0))]
    assert [int(item[0][0]) for item in sent] == [0, 1, 2, 3]
    assert log.count("training waits for event of copies") == 4
    assert log.count("used by training") == 8


@pytest.mark.gpu
@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("room", [True, False])
def test_batches_on_a_gpu_are_those_on_the_cpu(
    data: Data, room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not room:
        for where in ("on_device", "batch"):
            monkeypatch.setattr(f"reff_bench.data.{where}.has_room", lambda *_: False)
    opened = open_data(small_config(), device="cuda")
    split, plain = opened.splits["train"], data.splits["train"]
    assert (split.on_device is not None) == room
    split, plain = with_pseudo(split), with_pseudo(plain)
    flipped = torch.arange(COUNT) % 2 == 0
    batches = random_order()
    split.get([0, 1], "cuda")  # what is brought there once may be waited for
    stream = split.batches(batches, device="cuda", flipped=flipped, workers=0)
    first = next(stream)
    if room:
        torch.cuda.set_sync_debug_mode("error")
    try:
        found = [first, *stream]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = plain.batches(batches, flipped=flipped)
    for ours, theirs in zip(found, expected, strict=True):
        for name in NAMES:
            one, other = getattr(ours, name), getattr(theirs, name)
            assert one.device.type == "cuda"
            torch.testing.assert_close(one.cpu(), other)
