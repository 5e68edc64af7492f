import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from reff_bench.annotator import AnnotatorOptions, UNetGenerator
from reff_bench.cli import main
from reff_bench.cost import (
    Bill,
    Kind,
    Pace,
    Paces,
    Task,
    count_images,
    describe_cost,
    find_recorded,
    make_bill,
    plan_tasks,
    read_paces,
    simulate,
    work_of,
    write_paces,
)
from reff_bench.cost.bill import annotator_key
from reff_bench.cost.kinds import WORDS, annotator_kind
from reff_bench.cost.sizes import count_annotated
from reff_bench.cost.table import describe_seconds
from reff_bench.data import annotated_subset, open_data
from reff_bench.evaluate import evaluate_cell
from reff_bench.grid import Cell, GridError, expand, load_grid
from reff_bench.identity import identify_cells
from reff_bench.models import StagedResNet
from reff_bench.train import train_cell
from reff_bench.train.annotate import _key
from tests.reff_bench import fakes
from tests.reff_bench.fakes import isic_tree, make_cell, make_row, write_grid
from tests.reff_bench.small import folder_of, small_cell
from tests.reff_bench.trees import make_isic, make_pets

ROOT = Path(__file__).parents[2]
SECONDS = st.floats(0.0, 100.0)
TASKS = st.lists(
    st.builds(Task, SECONDS, st.sampled_from([None, "a", "b", "c"]), st.just(7.0)),
    min_size=1,
    max_size=25,
)
FREE_TASKS = st.lists(st.builds(Task, SECONDS), min_size=1, max_size=25)
SLOTS = st.integers(1, 9)


def event_loop(tasks: list[Task], slots: int) -> float:
    """The same by moments: at each, idle slots take tasks and held ones may go on."""
    todo, now, made = list(tasks), 0.0, dict[Any, float]()
    ends: list[float] = []  # of the busy slots
    while todo or ends:
        while todo and len(ends) < slots:
            task = todo.pop(0)
            begin = now
            if task.needs is not None:
                if task.needs not in made:
                    made[task.needs] = now + task.needs_seconds
                begin = max(now, made[task.needs])
            ends.append(begin + task.seconds)
        now = min(ends)
        ends.remove(now)
    return now


@given(TASKS, SLOTS)
@settings(deadline=None)
def test_the_simulation_is_that_of_an_event_loop(tasks: list[Task], slots: int) -> None:
    assert simulate(tasks, slots).makespan == event_loop(tasks, slots)


@given(FREE_TASKS, SLOTS)
@settings(deadline=None)
def test_no_plan_beats_the_bound_or_is_worse_than_graham(
    tasks: list[Task], slots: int
) -> None:
    found = simulate(tasks, slots)
    assert found.makespan >= found.bound * (1 - 1e-9)
    assert found.makespan <= (2 - 1 / slots) * found.bound * (1 + 1e-9)


@given(TASKS, SLOTS)
@settings(deadline=None)
def test_waiting_for_annotators_is_no_work(tasks: list[Task], slots: int) -> None:
    found = simulate(tasks, slots)
    needs = {task.needs for task in tasks} - {None}
    work = sum(task.seconds for task in tasks) + 7.0 * len(needs)
    assert found.work == pytest.approx(work)
    assert found.makespan >= found.bound * (1 - 1e-9)
    assert 0 <= found.busy <= 1 + 1e-9
    assert simulate(tasks, 1).makespan == pytest.approx(work)


def test_the_others_wait_for_an_annotator_in_their_slots() -> None:
    tasks = [Task(1.0, "a", 10.0), Task(2.0, "a", 10.0), Task(3.0)]
    assert simulate(tasks, 2).makespan == 11.0 + 3.0
    assert simulate(tasks, 3).makespan == 12.0
    assert simulate(tasks, 3).longest == 12.0
    assert simulate([], 3).busy == 1.0


Counts = dict[tuple[str, str], int]


@pytest.fixture
def seen() -> Iterator[Counts]:
    """Images that went through the nets, by net and by how."""
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


def billed(parts: Mapping[Kind, float], what: str) -> float:
    (found,) = [count for kind, count in parts.items() if kind.what == what]
    return float(found)


def run(cell: Cell, out: Path, cache_dir: Path) -> None:
    folder = folder_of(out, cell)
    train_cell(cell, folder, cache_dir=cache_dir, device="cpu")
    evaluate_cell(cell, folder, cache_dir=cache_dir, device="cpu")


def check_net(bill: Bill, cell: Cell, seen: Counts) -> None:
    steps = billed(bill.parts, "train")
    assert seen["StagedResNet", "train"] == pytest.approx(steps * cell.batch_size)
    assert seen["StagedResNet", "look"] == billed(bill.parts, "predict")
    assert seen["StagedResNet", "explain"] == billed(bill.parts, "focus")


def test_a_bill_is_what_a_run_does(
    tmp_path: Path, cache_dir: Path, seen: Counts
) -> None:
    cell = small_cell("background_swap", annotations=2, epochs=3)
    run(cell, tmp_path, cache_dir)
    bill = make_bill(cell)
    check_net(bill, cell, seen)
    (kind,) = [kind for kind in bill.annotator_parts if kind.what == "annotate"]
    images = bill.annotator_parts[kind] * kind.value("annotator_batch_size")
    assert seen["UNetGenerator", "train"] == images
    panels = 8
    assert (
        seen["UNetGenerator", "look"] == billed(bill.annotator_parts, "draw") + panels
    )


def test_a_bill_of_photographs_is_what_a_run_does(
    tmp_path: Path, cache_dir: Path, seen: Counts
) -> None:
    cell = small_cell("baseline").model_copy(
        update={
            **dict.fromkeys(("train", "val", "test", "bg", "tex", "test_bg", "digits")),
            "dataset": "isic2017",
            "task": "three_classes",
            "root": str(make_isic(tmp_path / "isic")),
        }
    )
    run(cell, tmp_path, cache_dir)
    check_net(make_bill(cell), cell, seen)


def test_trees_have_the_sizes_that_are_counted(tmp_path: Path) -> None:
    trees = {"isic2017": make_isic(tmp_path / "i"), "pets": make_pets(tmp_path / "p")}
    for dataset, task in (("isic2017", "melanoma"), ("pets", "species")):
        cell = make_cell(
            dataset=dataset,
            task=task,
            root=str(trees[dataset]),
            data_identity=None,
        )
        splits = open_data(cell, cache_dir=tmp_path).splits
        sizes = count_images(cell)
        assert {name: len(split) for name, split in splits.items()} == {
            name: getattr(sizes, name) for name in splits
        }
        assert sizes.masked_test == bool(splits["test"].annotated.any())
        assert sizes.classes == 2


def test_data_that_are_not_there_have_their_official_sizes() -> None:
    sizes = count_images(make_cell(dataset="pets", task="breed", train=None))
    assert (sizes.train + sizes.val, sizes.test, sizes.classes) == (3680, 3669, 37)
    isic = count_images(make_cell(dataset="isic2017", task="three_classes"))
    assert (isic.train, isic.val, isic.test, isic.val_shifted) == (2000, 150, 600, 0)


@pytest.mark.parametrize("unit", ["per_class", "total", "percent"])
@pytest.mark.parametrize("annotations", [1, 3, 50, "all"])
def test_annotated_images_are_counted(
    unit: Literal["per_class", "total", "percent"], annotations: int | Literal["all"]
) -> None:
    cell = make_cell(annotations=annotations, annotation_unit=unit, train=500)
    labels = torch.arange(500).numpy() % 10
    chosen = annotated_subset(labels, annotations, unit, seed=0)
    assert count_annotated(cell, count_images(cell)) == chosen.sum()


@pytest.mark.parametrize("given", [{}, {"annotator_norm": "batch"}])
@pytest.mark.parametrize("count", [1, 50, 51, 500])
def test_an_annotator_has_the_batches_that_it_will_have(
    count: int, given: dict[str, Any]
) -> None:
    kind = annotator_kind("annotate", make_cell(**given), count)
    options = AnnotatorOptions(norm=given.get("annotator_norm"))
    resolved = options.resolve(count, (32, 32))
    assert kind.value("annotator_batch_size") == resolved.batch_size
    assert kind.value("annotator_norm") == resolved.norm


def test_cells_share_an_annotator_as_they_do_in_a_run(cache_dir: Path) -> None:
    small = ("data.train=60", "data.val=20", "data.embedded_instances=6")
    axes = ("blocks.0.tex=[0.0,0.5]", "annotations=[5]", "data.image_size=32")
    grid = load_grid(ROOT / "grids" / "quick.yaml", (*axes, *small))
    planned = identify_cells(expand(grid), data_root=None, cache_dir=cache_dir)
    cells = [cell for cell in planned if cell.uses_annotator]
    data = {cell.data_identity: open_data(cell, cache_dir=cache_dir) for cell in cells}
    real = [_key(c, data[c.data_identity], torch.device("cpu")) for c in cells]
    ours = [annotator_key(cell) for cell in cells]
    assert 1 < len(set(ours)) == len(set(real)) < len(cells)
    assert len(set(zip(ours, real, strict=True))) == len(set(real))


def test_kinds_differ_only_where_the_work_does() -> None:
    cells = [make_cell("reff", weight=w, warmup=w / 2, seed=3) for w in (0.5, 1.0)]
    assert len(work_of(cells)) == 3
    others = [
        make_cell("reff", layers=("stage4",)),
        make_cell("reff", batch_size=8),
        make_cell("reff", threads=2),
        make_cell("baseline"),
    ]
    kinds = work_of([*cells, *others])
    assert sum(kind.what == "train" for kind in kinds) == 5
    assert sum(kind.what == "predict" for kind in kinds) == 2  # threads


CELLS = [make_cell(m, annotations=5, seed=s) for m in ("reff", "abn") for s in (0, 1)]
KNOWN = {
    kind: Pace({"train": 0.5, "annotate": 0.25}.get(kind.what, 0.01), "measured")
    for kind in work_of(CELLS)
}


def test_the_table_adds_up() -> None:
    paces = Paces("made-up GPU", "cuda", KNOWN)
    tasks = plan_tasks(CELLS, paces)
    text = describe_cost(CELLS, paces, (1, 2))
    lines = text.splitlines()
    assert "made-up GPU" in lines[0]
    rows = [line for line in lines if any(word in line for word in WORDS.values())]
    hours = sum(float(line.split("  ")[-2].replace(",", "")) for line in rows)
    whole = simulate(tasks, 1).makespan
    assert hours == pytest.approx(whole / 3600, rel=0.005)
    told = [" ".join(line.split()) for line in lines]
    assert told[-2].startswith(f"1 {describe_seconds(whole)} ")
    steps = 20 * 100 / 64
    assert f"training step, ReFF 2 {2 * steps:.0f} 500 0.00868 measured" in told
    # Two seeds, each with one annotator for both methods.
    assert sum(task.needs_seconds for task in tasks[:2]) == pytest.approx(
        2 * (10_000 * 0.25 + (100 - 50 + 10) * 0.01)
    )
    assert len({task.needs for task in tasks}) == 2
    assert "annotator's step 2 20,000 250 1.39 measured" in told


def test_what_tells_kinds_apart_is_named() -> None:
    cells = [make_cell("reff"), make_cell("reff", layers=("stage3", "stage4"))]
    paces = Paces("x", "cpu", {kind: Pace(1.0, "measured") for kind in work_of(cells)})
    text = describe_cost(cells, paces, (1,))
    assert "training step, ReFF, layers stage3+stage4" in text
    assert "a CPU (x), a device being the threads of one cell" in text


def test_times_are_told_in_units_that_suit() -> None:
    told = [describe_seconds(s) for s in (0.5, 90, 3 * 3600, 1e6, 1e9)]
    assert told == ["0.5 s", "1.5 min", "3 h", "11.6 days", "11,574 days"]


def test_paces_are_kept(tmp_path: Path) -> None:
    paces = Paces("made-up GPU", "cuda", KNOWN)
    write_paces(tmp_path / "paces.json", paces)
    assert read_paces(tmp_path / "paces.json") == paces


def test_a_foreign_file_of_paces_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paces.json"
    path.write_text('{"schema_version": 99}')
    with pytest.raises(GridError, match="holds no step times of schema version 1"):
        read_paces(path)


def test_finished_runs_give_the_pace_of_their_kind_and_device() -> None:
    cells = [make_cell(seed=s, batch_size=50) for s in range(4)]
    rates = (100.0, 200.0, 400.0, 1.0)
    devices = ("here", "here", "here", "elsewhere")
    rows = [
        make_row(c, device=d, images_per_second=r)
        for c, r, d in zip(cells, rates, devices, strict=True)
    ]
    ((kind, pace),) = find_recorded(rows, "here").items()
    assert kind in work_of(cells)
    assert pace == Pace(0.25, "recorded in 3 runs")
    assert find_recorded([make_row(cells[0], "pending")], "here") == {}


def write_small_grid(folder: Path) -> Path:
    """A grid on an official tree of 200 images in each list."""
    isic_tree(folder / "tree", 200)
    return write_grid(folder)


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Kind]:
    """What was measured; a made-up measurement, at once."""
    asked: list[Kind] = []

    def measure(kind: Kind, cell: Cell, device: str) -> Pace:
        asked.append(kind)
        return Pace(0.001, "made up")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reff_bench.measure.measure", measure)
    monkeypatch.setattr("reff_bench.measure.device_name", lambda device: "here")
    monkeypatch.setattr("reff_bench.cli.commands.train_step", fakes.train)
    monkeypatch.setattr("reff_bench.cli.commands.evaluate_step", fakes.evaluate)
    return asked


def test_a_dry_run_tells_the_cost(measured: list[Kind], tmp_path: Path) -> None:
    grid = write_small_grid(tmp_path)
    grid.write_text(grid.read_text().replace(f"root: {tmp_path / 'tree'}", ""))
    args = ("run", grid, "--dry-run", "--cost", "--data-root", "nowhere")
    result = call(*args, "--step-times", "paces.json", "--devices", "1,3")
    assert result.exit_code == 0, result.output
    assert "planned without the data, at their official sizes" in result.stdout
    assert "6 runs (2 further cells share a run): 0 done" in result.stdout
    assert "cost at the paces of a CPU (here)" in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines()[-2:]] == ["1", "3"]
    assert "measuring 1 of 6: train, baseline" in result.stderr
    assert len(measured) == len(set(measured)) == 6
    assert not Path("runs").exists()
    again = call(*args, "--step-times", "paces.json", "--set", "epochs=9")
    assert len(measured) == 6
    assert "measuring" not in again.stderr


def test_what_is_done_costs_nothing_more(measured: list[Kind], tmp_path: Path) -> None:
    few = ("run", write_small_grid(tmp_path), "--device", "cpu", "--set", "epochs=1")
    call(*few, "--set", "seed=[0]")
    result = call(*few, "--dry-run", "--cost")
    assert "3 done" in result.stdout
    assert "training step, Baseline     1 " in result.stdout


def test_times_of_another_device_are_not_mixed(
    measured: list[Kind], tmp_path: Path
) -> None:
    args = ("run", write_small_grid(tmp_path), "--dry-run", "--cost", "--device", "cpu")
    write_paces(tmp_path / "paces.json", Paces("there", "cuda", {}))
    result = call(*args, "--step-times", "paces.json")
    assert result.exit_code == 2
    assert "lacks the times of 6 of 6 kinds of work and is of there" in result.stderr
    assert measured == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--cost",), "--cost runs nothing: give --dry-run with it"),
        (("--dry-run", "--devices", "1,0"), "give whole numbers from 1"),
    ],
)
def test_wrong_use_is_told(
    flags: tuple[str, ...], words: str, measured: list[Kind], tmp_path: Path
) -> None:
    result = call("run", write_small_grid(tmp_path), *flags)
    assert result.exit_code == 2
    assert words in result.stderr


def test_planning_with_known_times_never_loads_torch(tmp_path: Path) -> None:
    grid = write_small_grid(tmp_path)
    cells = expand(load_grid(grid))
    by_kind = {kind: Pace(0.1, "measured") for kind in work_of(cells)}
    write_paces(tmp_path / "paces.json", Paces("a GPU", "cuda", by_kind))
    code = """
import sys
from reff_bench.cli import main
main(sys.argv[1:], standalone_mode=False)
assert "torch" not in sys.modules
"""
    command = [sys.executable, "-c", code, "run", str(grid), "--dry-run", "--cost"]
    command += ["--step-times", str(tmp_path / "paces.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cost at the paces of a GPU" in done.stdout
