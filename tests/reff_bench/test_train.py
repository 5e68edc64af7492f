import json
import math
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from reff_bench.annotator.training import AnnotatorDivergedError
from reff_bench.data.split import Data
from reff_bench.grid.config import RunConfig
from reff_bench.results.json_file import Fields
from reff_bench.results.run import RunError, RunProgress, read_record
from reff_bench.torch_files import save_torch
from reff_bench.train import reports
from reff_bench.train.annotate import annotate
from reff_bench.train.checkpoint import load_checkpoint
from reff_bench.train.loop import Trainer, TrainOptions
from reff_bench.train.machine import find_context, limited
from reff_bench.train.meter import Meter
from reff_bench.train.reports import Reporter
from reff_bench.train.run import train_run
from reff_bench.train.schedule import generator, plan_epoch, steps_per_epoch
from tests.reff_bench.small import (
    EVERY_STEP,
    StopNowError,
    folder_of,
    lasting,
    same,
    small_config,
    stop_when,
    train,
)

pytestmark = pytest.mark.usefixtures("every_report")
Unbroken: TypeAlias = tuple[Fields, dict[str, Tensor], Path]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    out = tmp_path_factory.mktemp("unbroken")
    return *train(reff(), out), out


def reff() -> RunConfig:
    return small_config("reff", annotations=2, warmup=0.5, flips=True)


def test_a_record_says_what_happened(unbroken: Unbroken) -> None:
    record, weights, out = unbroken
    assert (record["status"], record["compiled"]) == ("done", False)
    assert (record["annotated_images"], record["train_images"]) == (20, 90)
    assert 0 <= record["annotator_iou"] <= record["annotator_dice"] <= 1
    assert min(record["images_per_second"], record["processor_seconds"]) > 0
    assert 0 < record["data_stall_share"] < 1
    assert record["peak_memory_bytes"] > 2**20
    assert (record["device_type"], record["arithmetic"]) == ("cpu", "float32")
    libraries = {"numpy", "torch", "torchvision", "timm"}
    assert set(record["versions"]) == {"python", *libraries}
    for name in ("loss", "cross_entropy", "penalty", "zero_maps_stage4"):
        assert len(record[f"history_{name}"]) == 2
    assert record["history_val_accuracy"][-1] == record["val_accuracy"]
    assert lasting(read_record(folder_of(out, reff())) or {})["epochs"] == 2
    assert record["network"] == "reff_bench.models.resnet.StagedResNet"
    floats = [one for name, one in weights.items() if "running_" not in name]
    counted = sum(one.numel() for one in floats if one.is_floating_point())
    assert record["parameters"] == counted


def test_a_finished_run_keeps_its_weights_alone(unbroken: Unbroken) -> None:
    _, _, out = unbroken
    folder = folder_of(out, reff())
    content = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert content["optimizer"] is None
    assert {path.name for path in folder.iterdir()} == {
        *("cell.json", "checkpoint.pt", "checkpoint.pt.sha256", "record.json")
    }


def train_until_killed(config: RunConfig, out: Path) -> None:
    """Train in a process of its own, which is killed in its eighth step."""
    reports.SECONDS, steps = 0.0, count(1)

    def die(progress: RunProgress) -> None:
        if progress.stage == "training" and next(steps) > 7:
            os.kill(os.getpid(), signal.SIGKILL)

    train(config, out, report=die, options=EVERY_STEP)


def test_killed_runs_end_with_the_weights_of_an_unbroken_one(
    unbroken: Unbroken, tmp_path: Path
) -> None:
    record, weights, _ = unbroken
    stop = stop_when(lambda progress: progress.stage == "annotator")
    with pytest.raises(StopNowError):
        train(reff(), tmp_path, report=stop)
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=train_until_killed, args=(reff(), tmp_path))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    left = load_checkpoint(folder_of(tmp_path, reff()) / "checkpoint.pt").position
    assert (left.epoch, left.step) == (1, 1)
    again, found = train(reff(), tmp_path)
    assert same(found, weights)
    assert lasting(again) == lasting(record)


def test_a_run_stopped_before_its_record_is_not_trained_again(tmp_path: Path) -> None:
    config = small_config(annotations=2, epochs=1)
    record, weights = train(config, tmp_path)
    assert "annotated_images" not in record  # a method without masks: no annotator
    assert not (tmp_path / "annotators").exists()
    (folder_of(tmp_path, config) / "record.json").unlink()
    seen: list[RunProgress] = []
    again, found = train(config, tmp_path, report=seen.append)
    assert "training" not in {one.stage for one in seen}
    assert same(found, weights)
    assert again["train_seconds"] == record["train_seconds"]


def test_progress_rises_and_names_the_losses(tmp_path: Path) -> None:
    seen: list[RunProgress] = []
    train(reff(), tmp_path, report=seen.append, options=EVERY_STEP)
    fractions = [one.fraction for one in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(0.97)
    stages = list(dict.fromkeys(one.stage for one in seen))
    assert stages == ["data", "annotator", "training"]
    last = seen[-1]
    assert last.epoch == 2
    assert set(last.losses) == {"loss", "cross_entropy", "penalty"}
    assert last.images_per_second is not None


def test_runs_of_one_subset_share_an_annotator(
    unbroken: Unbroken, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, out = unbroken
    fail = Mock(side_effect=AssertionError("trained again"))
    monkeypatch.setattr("reff_bench.train.annotate.train_annotator", fail)
    swap = small_config("background_swap", annotations=2, epochs=1)
    record, _ = train(swap, out)
    assert record["annotator_iou"] is not None
    assert len(list((out / "annotators").iterdir())) == 1
    other = small_config("background_swap", annotations=3, epochs=1)
    with pytest.raises(AssertionError, match="trained again"):
        train(other, out)


def test_the_threshold_makes_masks_hard(tmp_path: Path) -> None:
    config = small_config("reff", annotations=1, epochs=1, annotator_threshold=0.5)
    train(config, tmp_path)
    (path,) = (tmp_path / "annotators").glob("*/masks.npy")
    assert set(path.read_bytes()[128:]) <= {0, 255}


def test_annotators_that_can_not_be_trained_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = small_config("reff", annotations=1, annotator_downs=5)
    with pytest.raises(RunError, match="the pseudo-annotator: 5 downs need sides"):
        train(deep, tmp_path)
    diverge = Mock(side_effect=AnnotatorDivergedError("a loss became infinite"))
    monkeypatch.setattr("reff_bench.train.annotate.train_annotator", diverge)
    with pytest.raises(RunError, match="the pseudo-annotator: a loss became infinite"):
        train(small_config("reff", annotations=1), tmp_path)


def test_a_loss_that_is_not_a_number_ends_the_run(tmp_path: Path) -> None:
    config = small_config(lr=1e30)
    message = r"infinite or not a number in epoch 1, step \d+ \(loss .*smaller lr"
    for options in (EVERY_STEP, None):
        with pytest.raises(RunError, match=message):
            train(config, tmp_path, options=options)


def test_foreign_and_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    config = small_config(epochs=1)
    path = folder_of(tmp_path, config) / "checkpoint.pt"
    train(config, tmp_path)
    content = torch.load(path, weights_only=True)
    flip(path)
    with pytest.raises(RunError, match=r"doesn't fit checkpoint.pt.sha256 .*; delete"):
        train(config, tmp_path)
    (path.parent / "checkpoint.pt.sha256").unlink()  # as in earlier releases
    foreign: dict[str, object] = {
        "belongs to the run 0000": {**content, "cell_id": "0" * 16},
        "version 99; this release reads 1": {**content, "schema_version": 99},
        "is no readable checkpoint of ours; delete": [1],
        r"lacks a part \('cell_id'\); delete": {"schema_version": 1},
    }
    for message, other in foreign.items():
        torch.save(other, path)
        with pytest.raises(RunError, match=message):
            train(config, tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match=r"can't be read \(RuntimeError\); delete"):
        train(config, tmp_path)


def test_another_kind_of_device_goes_on_only_when_allowed(tmp_path: Path) -> None:
    config, stop = small_config(), stop_when(lambda progress: progress.epoch == 2)
    with pytest.raises(StopNowError):
        train(config, tmp_path, report=stop, options=EVERY_STEP)
    path = folder_of(tmp_path, config) / "checkpoint.pt"
    content = torch.load(path, weights_only=True)
    save_torch({**content, "device_type": "cuda"}, path)
    with pytest.raises(RunError, match="started on cuda and would be continued on cpu"):
        train(config, tmp_path)
    record, _ = train(config, tmp_path, options=TrainOptions(other_device=True))
    assert record["status"] == "done"


def test_methods_of_one_seed_see_the_same_order() -> None:
    plan = plan_epoch(small_config(), 50, epoch=3)
    same_seed = plan_epoch(small_config("reff_plus"), 50, epoch=3)
    for first, second in zip(plan.batches, same_seed.batches, strict=True):
        assert torch.equal(first, second)
    for config, epoch in ((small_config(seed=1), 3), (small_config(), 4)):
        other = plan_epoch(config, 50, epoch)
        assert not torch.equal(other.batches[0], plan.batches[0])


@pytest.mark.parametrize(("images", "sizes"), [(33, [16, 17]), (34, [16, 16, 2])])
def test_no_batch_holds_one_image(images: int, sizes: list[int]) -> None:
    plan = plan_epoch(small_config(), images, epoch=0)
    assert [len(batch) for batch in plan.batches] == sizes


def test_each_place_has_its_own_randomness() -> None:
    config = small_config()
    draws = {
        torch.rand(1, generator=generator(config, *place)).item()
        for place in (("order", 0), ("order", 1), ("augment", 0), ("augment", 0, 0))
    }
    assert len(draws) == 4


def test_only_real_data_are_mirrored() -> None:
    assert plan_epoch(small_config(), 50, 0).flipped is None
    flipped = plan_epoch(small_config(flips=True), 50, 0).flipped
    assert flipped is not None
    assert 5 < flipped.sum() < 45


def test_means_do_not_depend_on_when_they_are_looked_at() -> None:
    values = [math.pi * k for k in range(1, 8)]
    meters = [Meter(), Meter()]
    for step, value in enumerate(values, start=1):
        for meter in meters:
            meter.add(step, step, {"loss": torch.tensor(value)}, {})
        meters[0].sync(epoch=1)
    meters[1].sync(epoch=1)
    assert meters[0].means() == meters[1].means()


def test_threads_and_random_state_are_put_back() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with limited(threads + 1, seed=4):
        assert torch.get_num_threads() == threads + 1
        torch.rand(3)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_a_gpu_is_used_alone_and_left_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, emptied = torch.device("cuda:1"), Mock()
    fork_rng = Mock(side_effect=lambda devices: nullcontext())
    monkeypatch.setattr(torch.random, "fork_rng", fork_rng)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "empty_cache", emptied)
    before = arithmetic()
    with limited(1, 0, gpu, search=True):
        assert arithmetic() == (True, "ieee", "ieee")
    assert arithmetic() == before
    with limited(1, 0, gpu):
        assert arithmetic() == (False, "ieee", "ieee")
    with limited(1, 0):
        assert arithmetic() == before
    assert [one.kwargs["devices"] for one in fork_rng.mock_calls] == [[gpu], [gpu], []]
    assert emptied.call_count == 2


def arithmetic() -> tuple[bool, str, str]:
    cudnn: Any = torch.backends.cudnn
    matmul = torch.backends.cuda.matmul
    return cudnn.benchmark, cudnn.conv.fp32_precision, matmul.fp32_precision


def test_devices_that_are_absent_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_context("auto").device.type == "cpu"
    with pytest.raises(RunError, match="torch finds no GPU here; use cpu or auto"):
        find_context("cuda:1")
    with pytest.raises(RunError, match="unknown device 'gpu'; allowed: auto, cpu"):
        find_context("gpu")


def test_precision_is_chosen_by_the_device() -> None:
    assert find_context("cpu").autocast is None
    assert find_context("cpu", "float32").autocast is None
    assert find_context("cpu", "bfloat16").autocast == torch.bfloat16


def test_event_files_need_tensorboard_and_hold_every_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, options = small_config(epochs=1), TrainOptions(tensorboard=True)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RunError, match="need the package tensorboard, which isn't"):
        train(config, tmp_path, options=options)
    writer = Mock()
    module = SimpleNamespace(SummaryWriter=writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    record, _ = train(config, tmp_path, options=options)
    calls = [one.args for one in writer.return_value.add_scalar.call_args_list]
    names = ["loss", "cross_entropy", "val_accuracy"]
    assert calls == [(name, record[f"history_{name}"][0], 1) for name in names]
    assert writer.call_args.args[0].endswith("tensorboard")
    writer.return_value.close.assert_called_once()


@pytest.mark.gpu
def test_a_gpu_trains_in_mixed_precision(tmp_path: Path) -> None:
    config = small_config("reff", annotations=2)
    record = train_run(config, folder_of(tmp_path, config), device="cuda")
    assert (record["device_type"], record["arithmetic"]) == ("cuda", "bfloat16")


def flip(path: Path, where: float = 0.5) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)


def test_a_run_that_is_stopped_leaves_a_checkpoint_of_its_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reff_bench.train.loop.REPORT_SECONDS", math.inf)
    config = small_config(batch_size=8, epochs=2)
    stop = stop_when(lambda progress: progress.epoch == 2)
    with pytest.raises(StopNowError):
        train(config, tmp_path, report=stop)
    left = load_checkpoint(folder_of(tmp_path, config) / "checkpoint.pt").position
    assert (left.epoch, left.step) == (1, 10)  # the losses are read then
    record, weights = train(config, tmp_path)
    unbroken, found = train(config, tmp_path / "unbroken")
    assert same(weights, found)
    assert lasting(record) == lasting(unbroken)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "masks gone": lambda place: (place / "masks.npy").unlink(),
    "masks cut": lambda place: os.truncate(place / "masks.npy", 200),
    "masks empty": lambda place: os.truncate(place / "masks.npy", 0),
    "masks changed": lambda place: flip(place / "masks.npy"),
    "annotator changed": lambda place: flip(place / "annotator.pt"),
    "report changed": lambda place: flip(place / "report.json"),
    "report cut": lambda place: os.truncate(place / "report.json", 20),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_annotator_is_made_again(
    damage: str, unbroken: Unbroken, data: Data, tmp_path: Path
) -> None:
    record, _, out = unbroken
    shutil.copytree(out / "annotators", tmp_path, dirs_exist_ok=True)
    place = tmp_path / record["annotator_key"]
    DAMAGES[damage](place)
    (place / "annotator.pt.tmp").write_bytes(b"of a full disk")
    with limited(reff().threads, seed=0):
        reporter = Reporter(None, annotator=True)
        found = annotate(reff(), data, tmp_path, torch.device("cpu"), reporter)
    assert found.facts.items() <= record.items()
    masks = (out / "annotators" / place.name / "masks.npy").read_bytes()
    assert (place / "masks.npy").read_bytes() == masks
    assert not (place / "annotator.pt.tmp").exists()


def test_masks_of_an_earlier_release_have_no_digest_and_are_used(
    unbroken: Unbroken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, weights, out = unbroken
    shutil.copytree(out / "annotators", tmp_path / "annotators")
    place = tmp_path / "annotators" / record["annotator_key"]
    quality = {name: record[name] for name in ("annotator_iou", "annotator_dice")}
    (place / "report.json").write_text(json.dumps(quality))
    (place / "annotator.pt.sha256").unlink()
    monkeypatch.setattr("reff_bench.train.annotate.train_annotator", None)
    _, found = train(reff(), tmp_path)
    assert same(found, weights)


def test_a_batch_of_one_image_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def normalize(*_: object) -> None:
        torch.nn.BatchNorm1d(2)(torch.zeros(1, 2))

    monkeypatch.setattr("reff_bench.train.loop.TrainStep.step", normalize)
    config = small_config(batch_size=1, train=10)
    with pytest.raises(RunError, match=r"a batch of 1 image \(batch_size 1, 10 train"):
        train(config, tmp_path)


@pytest.mark.parametrize("size", range(1, 8))
def test_the_steps_of_an_epoch_are_its_batches(size: int) -> None:
    config = small_config(batch_size=size)
    for images in range(1, 20):
        batches = plan_epoch(config, images, 0).batches
        assert steps_per_epoch(config, images) == len(batches)
        assert sorted(torch.cat(batches).tolist()) == list(range(images))


def test_outputs_that_are_not_finite_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(self: Trainer, *_: object) -> None:
        for parameter in self.train_step.model.parameters():
            parameter.data.fill_(math.nan)

    monkeypatch.setattr(Trainer, "_step", spoil)
    with pytest.raises(RunError, match="aren't finite after epoch 1; try a smaller"):
        train(small_config(epochs=1), tmp_path)
