import json
import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from reff_bench.cli.report import write_page
from reff_bench.cost.operations import all_operations
from reff_bench.cost.table import StepTimes, write_step_times
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid
from reff_bench.results.folder import RunFolder
from reff_bench.results.plan import read_plan
from reff_bench.results.run import read_record, run_folder, write_record
from reff_bench.runner.run import PendingRuns
from reff_bench.runner.work import RunWork
from tests.python import run_python
from tests.reff_bench import fakes
from tests.reff_bench.fakes import call, make_plan, write_grid


@pytest.fixture
def in_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A grid file, with made-up work in place of the real."""
    monkeypatch.chdir(tmp_path)
    fakes.make_up_work(monkeypatch)
    # Drawing takes seconds; one test below has the real page.
    monkeypatch.setattr(
        "reff_bench.cli.commands.write_page", lambda runs: runs.out / "report.html"
    )
    return write_grid(tmp_path)


@pytest.fixture
def made_up(in_workers: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, run in this process."""
    fakes.run_here(monkeypatch)
    return in_workers


def test_a_grid_is_run_shown_and_finished(in_workers: Path) -> None:
    result = call("run", in_workers, "--device", "cpu", "--jobs", 2)
    assert result.exit_code == 0, result.output
    assert "run 6 of 6" in result.stderr
    assert "main: test_accuracy in per cent" in result.stdout
    assert "Baseline    ReFF" in result.stdout
    assert "6 runs (2 further runs share a run): 6 done, 0 failed" in result.stdout
    assert "tables: runs/small/tables: main.csv, main.tex, tab4.csv" in result.stdout
    again = call("run", in_workers, "--device", "cpu")
    assert again.exit_code == 0
    assert "nothing left to run" in again.stderr
    status = call("status", "runs/small")
    assert (status.exit_code, "6 done" in status.stdout) == (0, True)
    pivot = call("table", "runs/small", "--value", "val_accuracy", "--rows", "seed")
    assert pivot.exit_code == 2
    pivot = call("table", "runs/small", "--value", "test_accuracy", "--rows", "hue")
    assert (pivot.exit_code, "unknown axis 'hue'" in pivot.stderr) == (2, True)
    pivot = call("table", "runs/small", "--value", "test_accuracy", "--rows", "epochs")
    assert Path("runs/small/tables/pivot.csv").is_file()
    evaluated = call("evaluate", "runs/small", "--device", "cpu")
    assert "evaluated 6 runs" in evaluated.stdout
    one = next(Path("runs/small/cells").iterdir())
    assert "evaluated 1 runs" in call("evaluate", one, "--device", "cpu").stdout
    other = call("run", in_workers, "--set", "seed=[0]", "--device", "cpu")
    assert other.exit_code == 0
    assert "3 runs of other grids" in call("status", "runs/small").stdout


def test_a_run_that_did_something_ends_with_its_page(
    made_up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reff_bench.cli.commands.write_page", write_page)
    args = ("run", made_up, "--device", "cpu", "--set", "seed=[0]")
    assert "report: runs/small/report.html" in call(*args).stdout
    assert "ReFF benchmark: small" in Path("runs/small/report.html").read_text()
    assert "report:" not in call(*args).stdout


def test_a_failure_is_reported_and_tried_again(made_up: Path) -> None:
    out = Path("out")
    out.mkdir()
    (out / ".trouble").write_text(json.dumps({"reff 5 1": "nan"}))
    result = call("run", made_up, "--out", out, "--device", "cpu")
    assert result.exit_code == 1
    assert "FAILED, the loss is NaN at step 3" in result.stderr
    assert "some runs failed; 'reff-bench retry out' tries them" in result.stderr
    assert "missing: reff, annotations 5, seed 1" not in result.stderr
    assert "weight 300, seed 1 (failed: the loss is NaN at step 3; " in result.stdout
    status = call("status", out)
    assert status.exit_code == 1
    assert "failed: ReFF, annotations 5, weight 300, seed 1: the loss" in status.stdout
    (out / ".trouble").unlink()
    assert call("retry", out, "--device", "cpu").exit_code == 0


def test_a_dry_run_writes_nothing_and_estimates_from_done_runs(made_up: Path) -> None:
    result = call("run", made_up, "--dry-run")
    assert result.exit_code == 0
    assert "would run 6 now:" in result.stdout
    assert "time: unknown until a first run of this grid is done" in result.stdout
    assert not Path("runs").exists()
    call("run", made_up, "--device", "cpu", "--set", "seed=[0]")
    result = call("run", made_up, "--dry-run", "--jobs", 1)
    assert "would run 3 now:" in result.stdout
    assert "time: about 0 min with --jobs 1" in result.stdout
    many = call("run", made_up, "--dry-run", "--set", f"seed={list(range(60))}")
    assert "and 137 more" in many.stdout


def test_dry_runs_count_images(made_up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan([fakes.make_config(epochs=10, train=1000)] * 2)
    monkeypatch.setattr("reff_bench.cli.commands.plan_grid", lambda *_, **__: plan)
    result = call("run", made_up, "--dry-run")
    assert "in all 0.01 million training images" in result.stdout


OF_RUNS = ("status", "retry", "table", "claims", "report", "figures", "evaluate")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run", "none.yaml"], "can't read the grid none.yaml: No such file"),
        (["run", "grid.yaml", "--set", "lr=-1"], "--set training.lr = -1 is not"),
        (["run", "grid.yaml", "--device", "gpu"], "allowed are auto, cpu, cuda and"),
        (["run", "grid.yaml", "--out", "grid.yaml"], "grid.yaml is a file; give a"),
        (["run", "grid.yaml", "--part", "3/2"], "--part 3/2: give i/n"),
        (["run", "grid.yaml", "--address", "head:6379"], "add --executor ray"),
        *(([name, "none"], "none has no grid.json: no grid was") for name in OF_RUNS),
        (["evaluate", "grid.yaml"], "a checkpoint needs --grid GRID.YAML"),
    ],
)
@pytest.mark.usefixtures("made_up")
def test_a_mistake_is_one_message_and_code_2(args: list[str], words: str) -> None:
    result = call(*args)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_parts_are_run_one_by_one(made_up: Path) -> None:
    command = ("run", made_up, "--device", "cpu", "--jobs", 1)
    first = call(*command, "--part", "1/2")
    assert first.exit_code == 0, first.output
    assert "part 1/2 of runs/small: 3 runs: 3 done, 0 failed" in first.stdout
    assert not Path("runs/small/tables").exists()
    assert "6 done, 0 failed" in call(*command).stdout


def test_flags_reach_a_training(made_up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, bool]] = []

    def note(work: PendingRuns, run_steps: RunWork, *_: object) -> RunFolder:
        assert isinstance(run_steps.train, partial)
        seen.append(run_steps.train.keywords)
        return replace(work.runs, records=())

    monkeypatch.setattr("reff_bench.cli.commands.run_work", note)
    monkeypatch.setattr("reff_bench.cli.commands.find_spec", lambda _: object())
    for flags in ([], ["--tensorboard"], ["--other-device"]):
        assert call("run", made_up, "--device", "cpu", *flags).exit_code == 0
    assert seen == [
        {"tensorboard": False, "other_device": False},
        {"tensorboard": True, "other_device": False},
        {"tensorboard": False, "other_device": True},
    ]


def test_tensorboard_that_is_missing_is_said_before_anything_runs(
    made_up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reff_bench.cli.commands.find_spec", lambda _: None)
    result = call("run", made_up, "--device", "cpu", "--tensorboard")
    assert result.exit_code == 2
    assert "needs the package tensorboard: pip install" in result.stderr
    assert not Path("runs/small/cells").exists()


def test_claims_are_judged_over_several_folders(made_up: Path) -> None:
    for out in ("one", "two"):
        call("run", made_up, "--out", out, "--device", "cpu", "--set", "seed=[0]")
    result = call("claims", "one", "two")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("INCONCLUSIVE") == 7
    assert "the grid has no runs with a spurious feature" in result.stdout
    names = {path.name for path in Path("one").rglob("claims.*")}
    assert names == {"claims.json", "claims.csv", "claims.tex"}


def test_a_report_is_one_page_beside_its_tables_and_claims(made_up: Path) -> None:
    call("run", made_up, "--out", "out", "--device", "cpu", "--set", "seed=[0]")
    result = call("report", "out")
    assert result.exit_code == 0, result.output
    assert result.stdout == "report: out/report.html\n"
    page = Path("out/report.html").read_text()
    assert "3 runs: 3 done." in page
    for name in ("claims.json", "tables/main.csv", "tables/claims.tex"):
        assert f'<a href="{name}">' in page
        assert (Path("out") / name).is_file()


def test_nothing_finished_is_nothing_to_evaluate(made_up: Path) -> None:
    call("run", made_up, "--device", "cpu", "--set", "seed=[0]")
    out = Path("runs/small")
    for config in read_plan(out).configs:
        folder = run_folder(out, config)
        write_record(folder, {**(read_record(folder) or {}), "status": "failed"})
    result = call("evaluate", out)
    assert result.exit_code == 2
    assert "runs/small holds no finished run to evaluate" in result.stderr


def full_disk() -> None:
    raise OSError(28, "No space left on device", "grid.json")


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KEPT = "Interrupted: finished runs are kept"


@pytest.mark.parametrize(
    ("stop", "code", "words"),
    [
        (full_disk, 1, "grid.json: No space left on device"),
        *((partial(signal.raise_signal, n), 128 + n, KEPT) for n in SIGNALS),
    ],
)
def test_what_ends_the_command_is_one_message(
    stop: Callable[[], None],
    code: int,
    words: str,
    made_up: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reff_bench.cli.commands.run_work", lambda *_, **__: stop())
    result = call("run", made_up, "--device", "cpu")
    assert (result.exit_code, words in result.stderr) == (code, True)


WITHOUT_TORCH = """
import sys
from reff_bench.cli import main
out, grid = "runs/small", "grid.yaml"
main(["table", out], standalone_mode=False)
assert "matplotlib" not in sys.modules
for args in (["run", grid], ["status", out], ["claims", out], ["report", out],
             ["figures", out], ["run", grid, "--dry-run"],
             ["run", grid, "--dry-run", "--set=epochs=9", "--cost",
              "--step-times=times.json"]):
    main(args, standalone_mode=False)
assert not {"torch", "matplotlib.pyplot"} & {*sys.modules}
"""


def test_plans_and_finished_grids_need_no_torch_and_little_time(made_up: Path) -> None:
    call("run", made_up, "--device", "cpu")
    operations = all_operations(expand(load_grid(made_up)))
    times = StepTimes("a GPU", "cuda", dict.fromkeys(operations, 0.1))
    write_step_times(Path("times.json"), times)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = run_python("-c", WITHOUT_TORCH, folder=made_up.parent)
    assert "cost on a GPU" in done.stdout
    # Of the processor, not of the clock: other work may be running.
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert used < 15  # seconds, of eight commands; five are enough on two cores


def tables_of(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Result:
    """Write the tables of a folder with one run."""
    plan = make_plan([fakes.make_config(**fields)])
    monkeypatch.setattr("reff_bench.results.folder.read_plan", lambda _: plan)
    return call("table", "out")


@pytest.mark.usefixtures("made_up")
def test_ties_of_rendered_data_are_tab1(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = ("digits", "digit_textures", "background_textures")
    few = {"embedded_instances": 12, "dtd_partition": 1, "data_seed": 0}
    result = tables_of(monkeypatch, **dict.fromkeys(sources, "embedded"), **few)
    assert result.exit_code == 0
    assert "0 & banded & " in Path("out/tables/tab1.tex").read_text()


@pytest.mark.usefixtures("made_up")
def test_ties_that_were_moved_stop_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    result = tables_of(monkeypatch, root="/moved")
    assert result.exit_code == 0
    assert "tab1 isn't written: no dataset folder /moved" in result.stderr
