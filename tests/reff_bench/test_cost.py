from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from reff_bench.annotator.networks import UNetGenerator
from reff_bench.annotator.options import AnnotatorOptions, Norm
from reff_bench.cost import table
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


def of_kind(kind: str, operations: Iterable[Operation]) -> Operation:
    (found,) = [one for one in operations if one.kind == kind]
    return found


def counted(operations: Mapping[Operation, float], kind: str) -> float:
    return operations[of_kind(kind, operations)]


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
    step = of_kind("annotate", shared)
    images = shared[step] * step.value("annotator_batch_size")
    assert seen["UNetGenerator", "train"] == images
    panels = 8
    assert seen["UNetGenerator", "look"] == counted(shared, "mask") + panels


def test_the_work_on_photographs_is_as_estimated(tmp_path: Path, seen: Counts) -> None:
    root = make_isic(tmp_path / "isic")
    config = tree_config("isic2017", root, epochs=2, batch_size=16)
    finish(config, tmp_path)
    check_network(estimate_work(config), config, seen)


@pytest.mark.parametrize("dataset", TREES)
def test_trees_have_the_counted_sizes(dataset: Dataset, tmp_path: Path) -> None:
    task = {"isic2017": "melanoma", "pets": "species"}[dataset]
    config = tree_config(dataset, TREES[dataset](tmp_path / dataset), task=task)
    splits, sizes = open_data(config).splits, count_images(config)
    for name, split in splits.items():
        assert len(split) == getattr(sizes, name), name
    assert sizes.masked_test == bool(splits["test"].annotated.any())
    assert sizes.classes == 2


def test_data_that_are_not_there_have_their_official_sizes() -> None:
    sizes = count_images(make_config(dataset="pets", task="breed", train=None))
    assert (sizes.train + sizes.val, sizes.test, sizes.classes) == (3680, 3669, 37)
    isic = count_images(make_config(dataset="isic2017", task="three_classes"))
    assert (isic.train, isic.val, isic.test, isic.val_shifted) == (2000, 150, 600, 0)


@pytest.mark.parametrize("unit", ["per_class", "total", "percent"])
@pytest.mark.parametrize("asked", [1, 3, 50, "all"])
def test_annotated_images_are_counted(unit: Unit, asked: int | Literal["all"]) -> None:
    config = make_config(annotations=asked, annotation_unit=unit, train=500)
    labels = torch.arange(500).numpy() % 10
    chosen = annotated_subset(labels, asked, unit, seed=0)
    assert count_annotated(config, count_images(config)) == chosen.sum()


@pytest.mark.parametrize("norm", [None, "batch"])
@pytest.mark.parametrize("count", [1, 50, 51, 499])
def test_the_batches_of_an_annotator_are_foreseen(count: int, norm: Norm) -> None:
    config = make_config(annotations=count, annotation_unit="total", train=500)
    config = config.model_copy(update={"annotator_norm": norm})
    step = of_kind("annotate", estimate_work(config).annotator_operations)
    options = AnnotatorOptions(norm=norm).resolve(count, (32, 32))
    assert step.value("annotator_batch_size") == options.batch_size
    assert step.value("annotator_norm") == options.norm


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
    configs += [make_config("reff", layers=("stage4",)), make_config("baseline")]
    configs += [make_config("reff", batch_size=8), make_config("reff", threads=2)]
    found = all_operations(configs)
    assert sum(one.kind == "train" for one in found) == 5
    assert sum(one.kind == "predict" for one in found) == 2  # threads


CONFIGS = [
    make_config(m, annotations=5, seed=s) for m in ("reff", "abn") for s in (0, 1)
]
SECONDS = {
    one: {"train": 0.5, "annotate": 0.25}.get(one.kind, 0.01)
    for one in all_operations(CONFIGS)
}
TIMES = table.StepTimes("made-up GPU", "cuda", SECONDS)


def test_the_table_adds_up() -> None:
    lines = table.describe_cost(CONFIGS, TIMES, (1, 2, 99)).splitlines()
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
    assert told[-3] == f"1 {table.describe_seconds(whole)} the work in all"
    assert told[-2] == f"2 {table.describe_seconds(whole / 2)} the work in all"
    assert told[-1] == f"99 {table.describe_seconds(max(each))} the longest run"
    steps = 20 * 100 / 64
    assert f"training step, ReFF 2 {2 * steps:.0f} 500 0.00868" in told
    assert "annotator's step 2 20,000 250 1.39" in told


def test_what_tells_operations_apart_is_named() -> None:
    configs = [make_config("reff"), make_config("reff", layers=("stage3", "stage4"))]
    times = table.StepTimes("x", "cpu", dict.fromkeys(all_operations(configs), 1.0))
    text = table.describe_cost(configs, times, (1,))
    assert "training step, ReFF, layers stage3+stage4" in text
    assert "a CPU (x), a device being the threads of one run" in text


def test_times_are_reported_in_units_that_suit() -> None:
    told = [table.describe_seconds(s) for s in (0.5, 90, 3 * 3600, 1e6, 1e9)]
    assert told == ["0.5 s", "1.5 min", "3 h", "11.6 days", "11,574 days"]


FOREIGN = (
    '{"schema_version": 99}',
    '{"schema_version": 2, "device": "x", "device_type": "cpu", "operations": '
    '[{"kind": "train", "settings": {}, "seconds": -1}]}',
)


def test_step_times_are_kept_and_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    table.write_step_times(path, TIMES)
    assert table.read_step_times(path) == TIMES
    for content in FOREIGN:
        path.write_text(content)
        with pytest.raises(GridError, match="holds no step times of schema version 2"):
            table.read_step_times(path)


CONFIG = make_config(annotations=5, annotator_base_channels=4, batch_size=4)
OPERATIONS = all_operations([CONFIG])


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.kind)
def test_every_operation_can_be_measured(operation: Operation, device: str) -> None:
    seconds = {"cpu": 0.01, "cuda": 1.0}[device]
    assert 0 < measure(operation, OPERATIONS[operation], device, seconds) < 10


def test_all_kinds_of_operation_can_be_prepared() -> None:
    assert {one.kind for one in OPERATIONS} == {*PREPARE} == {*TITLES}


def measure_kind(kind: str, config: RunConfig, seconds: float = 0.0) -> float:
    operation = of_kind(kind, all_operations([config]))
    return measure(operation, config, "cpu", seconds)


def test_a_batch_that_takes_too_long_is_scaled_up() -> None:
    config = make_config("baseline", batch_size=64)
    few, whole = (measure_kind("train", config, seconds) for seconds in (0.0, 2.0))
    assert 0.3 < few / whole < 30


def test_an_operation_that_fails_is_named() -> None:
    with pytest.raises(RunError, match=r"measuring train of reff: .*float16"):
        measure_kind("train", make_config("reff", precision="float16"))


def test_the_device_is_named_as_in_records() -> None:
    assert device_name("cpu") == find_context("cpu").describe()


def test_measuring_downloads_nothing() -> None:
    config = make_config("baseline", backbone="resnet18", weights="imagenet")
    assert measure_kind("predict", config) > 0


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


def test_a_dry_run_tells_the_cost(measured: list[Operation], grid: Path) -> None:
    grid.write_text(grid.read_text().replace(f"root: {grid.parent / 'tree'}", ""))
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
    table.write_step_times(Path("times.json"), table.StepTimes("there", "cuda", {}))
    result = call("run", grid, "--device", "cpu", *flags)
    assert result.exit_code == 2
    assert words in result.stderr
    assert measured == []
