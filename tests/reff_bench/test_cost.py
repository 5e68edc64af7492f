from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from reff_bench.annotator.networks import UNetGenerator
from reff_bench.annotator.options import AnnotatorOptions
from reff_bench.cost.operations import (
    TITLES,
    Operation,
    WorkEstimate,
    all_operations,
    annotator_key,
    count_annotated,
    count_images,
    estimate_work,
)
from reff_bench.cost.table import (
    StepTimes,
    describe_cost,
    describe_seconds,
    read_step_times,
    write_step_times,
)
from reff_bench.data.opening import open_data
from reff_bench.data.subset import Unit, annotated_subset
from reff_bench.grid.config import GridError, RunConfig
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid
from reff_bench.identity.configs import identify_configs
from reff_bench.measure import PREPARE, device_name, measure
from reff_bench.models.resnet import StagedResNet
from reff_bench.results.run import RunError
from reff_bench.train.annotate import _key
from reff_bench.train.machine import find_context
from tests.reff_bench import fakes
from tests.reff_bench.fakes import call, isic_tree, make_config, write_grid
from tests.reff_bench.small import finish, small_config
from tests.reff_bench.trees import TREES, Dataset, make_isic, tree_config

ROOT = Path(__file__).parents[2]

Counts = dict[tuple[str, str], int]


@pytest.fixture
def seen() -> Iterator[Counts]:
    """Images that went through the networks, by network and by how."""
    counts: Counts = {}

    def count(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if isinstance(module, StagedResNet | UNetGenerator):
            how = "train" if module.training else "look"
            how = "explain" if how == "look" and torch.is_grad_enabled() else how
            key = (type(module).__name__, how)
            counts[key] = counts.get(key, 0) + len(args[0])

    hook = nn.modules.module.register_module_forward_pre_hook(count)
    yield counts
    hook.remove()


def counted(operations: Mapping[Operation, float], kind: str) -> float:
    (found,) = [count for one, count in operations.items() if one.kind == kind]
    return float(found)


def check_network(work: WorkEstimate, config: RunConfig, seen: Counts) -> None:
    steps = counted(work.operations, "train")
    assert seen["StagedResNet", "train"] == pytest.approx(steps * config.batch_size)
    assert seen["StagedResNet", "look"] == counted(work.operations, "predict")
    assert seen["StagedResNet", "explain"] == counted(work.operations, "explain")


def test_the_estimate_is_the_work_that_a_run_does(tmp_path: Path, seen: Counts) -> None:
    config = small_config("background_swap", annotations=2, epochs=3)
    finish(config, tmp_path)
    work = estimate_work(config)
    check_network(work, config, seen)
    shared = work.annotator_operations
    (step,) = [one for one in shared if one.kind == "annotate"]
    images = shared[step] * step.value("annotator_batch_size")
    assert seen["UNetGenerator", "train"] == images
    panels = 8
    assert seen["UNetGenerator", "look"] == counted(shared, "mask") + panels


def test_the_estimate_of_photographs_is_the_work_that_a_run_does(
    tmp_path: Path, seen: Counts
) -> None:
    few = {"epochs": 2, "batch_size": 16}
    config = tree_config("isic2017", make_isic(tmp_path / "isic"), **few)
    finish(config, tmp_path)
    check_network(estimate_work(config), config, seen)


def test_trees_have_the_sizes_that_are_counted(tmp_path: Path) -> None:
    tasks: dict[Dataset, str] = {"isic2017": "melanoma", "pets": "species"}
    for dataset, task in tasks.items():
        config = tree_config(dataset, TREES[dataset](tmp_path / dataset), task=task)
        splits = open_data(config).splits
        sizes = count_images(config)
        assert {name: len(split) for name, split in splits.items()} == {
            name: getattr(sizes, name) for name in splits
        }
        assert sizes.masked_test == bool(splits["test"].annotated.any())
        assert sizes.classes == 2


def test_data_that_are_not_there_have_their_official_sizes() -> None:
    sizes = count_images(make_config(dataset="pets", task="breed", train=None))
    assert (sizes.train + sizes.val, sizes.test, sizes.classes) == (3680, 3669, 37)
    isic = count_images(make_config(dataset="isic2017", task="three_classes"))
    assert (isic.train, isic.val, isic.test, isic.val_shifted) == (2000, 150, 600, 0)


@pytest.mark.parametrize("unit", ["per_class", "total", "percent"])
@pytest.mark.parametrize("annotations", [1, 3, 50, "all"])
def test_annotated_images_are_counted(
    unit: Unit, annotations: int | Literal["all"]
) -> None:
    config = make_config(annotations=annotations, annotation_unit=unit, train=500)
    labels = torch.arange(500).numpy() % 10
    chosen = annotated_subset(labels, annotations, unit, seed=0)
    assert count_annotated(config, count_images(config)) == chosen.sum()


@pytest.mark.parametrize("given", [{}, {"annotator_norm": "batch"}])
@pytest.mark.parametrize("count", [1, 50, 51, 499])
def test_an_annotator_has_the_batches_that_it_will_have(
    count: int, given: dict[str, Any]
) -> None:
    config = make_config("reff", annotations=count, annotation_unit="total", **given)
    work = estimate_work(config.model_copy(update={"train": 500}))
    (step,) = [one for one in work.annotator_operations if one.kind == "annotate"]
    options = AnnotatorOptions(norm=given.get("annotator_norm"))
    resolved = options.resolve(count, (32, 32))
    assert step.value("annotator_batch_size") == resolved.batch_size
    assert step.value("annotator_norm") == resolved.norm


def test_runs_share_an_annotator_as_they_do_in_a_run() -> None:
    small = ("data.train=60", "data.val=20", "data.embedded_instances=6")
    axes = ("blocks.0.tex=[0.0,0.5]", "annotations=[5]", "data.image_size=32")
    grid = load_grid(ROOT / "grids" / "quick.yaml", (*axes, *small))
    planned = identify_configs(expand(grid), data_root=None, cache_dir=None)
    configs = [config for config in planned if config.uses_annotator]
    data = {config.data_identity: open_data(config) for config in configs}
    real = [_key(c, data[c.data_identity], torch.device("cpu")) for c in configs]
    ours = [annotator_key(config) for config in configs]
    assert 1 < len(set(ours)) == len(set(real)) < len(configs)
    assert len(set(zip(ours, real, strict=True))) == len(set(real))


def test_operations_differ_only_where_their_time_does() -> None:
    configs = [make_config("reff", weight=w, warmup=w / 2, seed=3) for w in (0.5, 1.0)]
    assert len(all_operations(configs)) == 3
    others = [
        make_config("reff", layers=("stage4",)),
        make_config("reff", batch_size=8),
        make_config("reff", threads=2),
        make_config("baseline"),
    ]
    found = all_operations([*configs, *others])
    assert sum(one.kind == "train" for one in found) == 5
    assert sum(one.kind == "predict" for one in found) == 2  # threads


CONFIGS = [
    make_config(m, annotations=5, seed=s) for m in ("reff", "abn") for s in (0, 1)
]
SECONDS = {
    one: {"train": 0.5, "annotate": 0.25}.get(one.kind, 0.01)
    for one in all_operations(CONFIGS)
}
TIMES = StepTimes("made-up GPU", "cuda", SECONDS)


def test_the_table_adds_up() -> None:
    lines = describe_cost(CONFIGS, TIMES, (1, 2, 99)).splitlines()
    assert "made-up GPU" in lines[0]
    rows = [line for line in lines if any(word in line for word in TITLES.values())]
    hours = sum(float(line.split()[-1].replace(",", "")) for line in rows)
    told = [" ".join(line.split()) for line in lines]
    works = [estimate_work(config) for config in CONFIGS]
    # Two seeds, each with one annotator for both methods.
    annotator = 10_000 * 0.25 + (100 - 50 + 10) * 0.01
    assert len({work.annotator for work in works}) == 2
    each = [work.seconds(SECONDS) for work in works]
    whole = sum(each) - 2 * annotator
    assert hours == pytest.approx(whole / 3600, rel=0.005)
    assert told[-3] == f"1 {describe_seconds(whole)} the work in all"
    assert told[-2] == f"2 {describe_seconds(whole / 2)} the work in all"
    assert told[-1] == f"99 {describe_seconds(max(each))} the longest run"
    steps = 20 * 100 / 64
    assert f"training step, ReFF 2 {2 * steps:.0f} 500 0.00868" in told
    assert "annotator's step 2 20,000 250 1.39" in told


def test_what_tells_operations_apart_is_named() -> None:
    configs = [make_config("reff"), make_config("reff", layers=("stage3", "stage4"))]
    times = StepTimes("x", "cpu", dict.fromkeys(all_operations(configs), 1.0))
    text = describe_cost(configs, times, (1,))
    assert "training step, ReFF, layers stage3+stage4" in text
    assert "a CPU (x), a device being the threads of one run" in text


def test_times_are_reported_in_units_that_suit() -> None:
    told = [describe_seconds(s) for s in (0.5, 90, 3 * 3600, 1e6, 1e9)]
    assert told == ["0.5 s", "1.5 min", "3 h", "11.6 days", "11,574 days"]


FOREIGN = (
    '{"schema_version": 99}',
    '{"schema_version": 2, "device": "x", "device_type": "cpu", "operations": '
    '[{"kind": "train", "settings": {}, "seconds": -1}]}',
)


def test_step_times_are_kept_and_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    write_step_times(path, TIMES)
    assert read_step_times(path) == TIMES
    for content in FOREIGN:
        path.write_text(content)
        with pytest.raises(GridError, match="holds no step times of schema version 2"):
            read_step_times(path)


CONFIG = make_config(annotations=5, annotator_base_channels=4, batch_size=4)
OPERATIONS = all_operations([CONFIG])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.kind)
def test_every_operation_can_be_measured(operation: Operation) -> None:
    assert 0 < measure(operation, OPERATIONS[operation], "cpu", 0.01) < 10


def test_all_kinds_of_operation_can_be_prepared() -> None:
    assert {one.kind for one in OPERATIONS} == {*PREPARE} == {*TITLES}


def train_operation(config: RunConfig) -> Operation:
    (found,) = [one for one in all_operations([config]) if one.kind == "train"]
    return found


def test_a_batch_that_takes_too_long_is_scaled_up() -> None:
    config = make_config("baseline", batch_size=64)
    few = measure(train_operation(config), config, "cpu", 0.0)
    whole = measure(train_operation(config), config, "cpu", 2.0)
    assert 0.3 < few / whole < 30


def test_an_operation_that_fails_is_named() -> None:
    config = make_config("reff", precision="float16")
    with pytest.raises(RunError, match=r"measuring train of reff: .*float16"):
        measure(train_operation(config), config, "cpu", 0.0)


def test_the_device_is_named_as_in_records() -> None:
    assert device_name("cpu") == find_context("cpu").describe()


def test_measuring_downloads_nothing() -> None:
    config = make_config("baseline", backbone="resnet18", weights="imagenet")
    (predict,) = [one for one in all_operations([config]) if one.kind == "predict"]
    assert measure(predict, config, "cpu", 0.0) > 0


@pytest.mark.gpu
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.kind)
def test_a_gpu_is_measured(operation: Operation) -> None:
    assert 0 < measure(operation, OPERATIONS[operation], "cuda", 1.0) < 10


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """A grid on an official tree of 200 images in each list."""
    isic_tree(tmp_path / "tree", 200)
    return write_grid(tmp_path)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Operation]:
    """What was measured; a made-up measurement, at once."""
    asked: list[Operation] = []

    def measure(operation: Operation, config: RunConfig, device: str) -> float:
        asked.append(operation)
        return 0.001

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reff_bench.measure.measure", measure)
    monkeypatch.setattr("reff_bench.measure.device_name", lambda device: "here")
    fakes.make_up_work(monkeypatch)
    return asked


def test_a_dry_run_tells_the_cost(
    measured: list[Operation], grid: Path, tmp_path: Path
) -> None:
    grid.write_text(grid.read_text().replace(f"root: {tmp_path / 'tree'}", ""))
    args = ("run", grid, "--dry-run", "--cost", "--data-root", "nowhere")
    result = call(*args, "--step-times", "times.json", "--devices", "1,3")
    assert result.exit_code == 0, result.output
    assert "planned without the data, at their official sizes" in result.stdout
    assert "6 runs (2 further runs share a run): 0 done" in result.stdout
    assert "cost on a CPU (here)" in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines()[-2:]] == ["1", "3"]
    assert "measuring 1 of 6: training step, baseline" in result.stderr
    assert len(measured) == len(set(measured)) == 6
    assert not Path("runs").exists()
    again = call(*args, "--step-times", "times.json", "--set", "epochs=9")
    assert len(measured) == 6
    assert "measuring" not in again.stderr


@pytest.mark.usefixtures("measured")
def test_what_is_done_costs_nothing_more(grid: Path) -> None:
    few = ("run", grid, "--device", "cpu", "--set", "epochs=1")
    call(*few, "--set", "seed=[0]")
    result = call(*few, "--dry-run", "--cost")
    assert "3 done" in result.stdout
    assert "training step, Baseline     1 " in result.stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--cost",), "--cost runs nothing: give --dry-run with it"),
        (("--dry-run", "--devices", "1,0"), "give whole numbers from 1"),
        (
            ("--dry-run", "--cost", "--step-times", "times.json"),
            "lacks the times of 6 of 6 operations and is of there",
        ),
    ],
)
def test_wrong_use_is_reported(
    flags: tuple[str, ...], words: str, measured: list[Operation], grid: Path
) -> None:
    write_step_times(Path("times.json"), StepTimes("there", "cuda", {}))
    result = call("run", grid, "--device", "cpu", *flags)
    assert result.exit_code == 2
    assert words in result.stderr
    assert measured == []
