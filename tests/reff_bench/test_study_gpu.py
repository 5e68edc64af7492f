import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmarks import study_gpu
from benchmarks.study_gpu import GRID, Session, in_order
from reff_bench.grid.config import RunConfig, config_id
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid
from reff_bench.results.collected import read_records, restore
from reff_bench.results.folder import open_runs
from reff_bench.results.plan import write_plan
from reff_bench.runner.run import find_work
from reff_bench.runner.work import RunWork
from tests.reff_bench import fakes
from texturedmnist.common.executors import Outcome, ThisProcess

ROOT = Path(__file__).parents[2]
SECONDS = {"baseline": 20.0, "reff": 50.0}
TINY = (
    *("data.digits=embedded", "data.digit_textures=embedded", "data.train=500"),
    *("data.embedded_instances=6", "data.val=30", "data.test=40", "digit_size=[28]"),
    *("data.image_size=32", "backbone=resnet_small", "weights=null", "epochs=1"),
    *("batch_size=16", "threads=1", "annotator.base_channels=4", "annotator.steps=4"),
)


@pytest.fixture(scope="module")
def configs() -> tuple[RunConfig, ...]:
    return expand(load_grid(GRID))


def test_every_run_of_the_study_is_there(configs: tuple[RunConfig, ...]) -> None:
    study = expand(load_grid(ROOT / "grids" / "study.yaml"))
    assert set(map(place, configs)) >= set(map(place, study))
    networks = {(config.image_size, config.backbone) for config in configs}
    assert networks == {(224, "resnet50")}


def place(config: RunConfig) -> tuple[Any, ...]:
    """What the tables and the claims tell runs apart by, and the seed."""
    half = config.digit_size != config.image_size
    return config.method, config.annotations, config.bg, config.tex, half, config.seed


def test_what_tells_most_is_run_first(
    configs: tuple[RunConfig, ...], tmp_path: Path
) -> None:
    plan = fakes.make_plan([*configs])
    todo = in_order(find_work(plan, tmp_path)).todo
    assert len(todo) == len({config_id(config) for config in configs})
    masked = ["reff", "reff_l1", "reff_l2", "abn", "background_swap"]
    expected: list[tuple[str, Any]] = [("baseline", "all")]
    expected += [(name, amount) for amount in ("all", 10) for name in masked]
    for seed in (0, 1, 2):
        rows = todo[11 * seed : 11 * seed + 11]
        assert [(config.method, config.annotations) for config in rows] == expected
        randomness = {(config.seed, config.digit_size, config.bg) for config in rows}
        assert randomness == {(seed, 224, 0.0)}
    groups = list(dict.fromkeys(map(group, todo)))
    assert groups == ["two rows", "half-size", "tab3", "other rows", "ours"]


def group(config: RunConfig) -> str:
    if config.method == "reff_plus":
        return "ours"
    if config.digit_size == 112:
        return "half-size"
    if config.bg == 1:
        return "tab3"
    return "two rows" if config.annotations in ("all", 10) else "other rows"


class Made:
    """A session of made-up runs, here, whose clock only they move."""

    def __init__(self, folder: Path, ends: float, *, trouble: str = "") -> None:
        """Begin with an empty folder, or what an earlier session has left there."""
        made = [fakes.make_config(name, seed=s) for s in (0, 1) for name in SECONDS]
        self.plan, self.trouble = fakes.make_plan(made), trouble
        self.out, self.records = folder / "runs", folder / "records.jsonl"
        self.now, self.ends = 0.0, ends
        self.tried: list[str] = []
        self.collected: list[int] = []  # runs in the records as each was started
        self.starts: list[int] = []  # runs tried as each process was started

    def run(self) -> list[str]:
        """Run what fits; return what was tried."""
        write_plan(self.out, self.plan)
        work = find_work(self.plan, self.out, retry=True)
        run_steps = RunWork(self.out, self.train, fakes.evaluate, ("cpu",))
        clock = lambda: self.now  # noqa: E731
        Session(work, self, self.records, self.ends, clock=clock).run(run_steps)
        return self.tried

    def run_each(
        self, *words: Any, **options: Any
    ) -> Generator[Outcome[Any], None, None]:
        """Note that a process would be started; run in this one."""
        self.starts.append(len(self.tried))
        return ThisProcess().run_each(*words, **options)

    def train(self, config: RunConfig, folder: Path, /, **options: Any) -> None:
        """Take some time of the clock, or fail."""
        there = self.records.is_file()
        self.collected.append(len(read_records(self.records).runs) if there else 0)
        name = f"{config.method} {config.seed}"
        self.tried.append(name)
        self.now += SECONDS[config.method]
        if name == self.trouble:
            raise RuntimeError("the GPU is gone")
        fakes.train(config, folder, **options)


NAMES = ["baseline 0", "reff 0", "baseline 1", "reff 1"]


@pytest.mark.parametrize(
    ("ends", "count"),
    [
        (140.1, 4),
        (140.0, 3),  # 90 s are over, and ReFF's latest run took 50
        (90.1, 3),
        (90.0, 2),  # 70 s are over, and Baseline's took 20
        (40.1, 2),  # nothing is known of ReFF: as long as the longest so far
        (40.0, 1),
        (0.0, 0),
    ],
)
def test_no_run_starts_that_ends_late(ends: float, count: int, tmp_path: Path) -> None:
    assert Made(tmp_path, ends).run() == NAMES[:count]


def test_records_are_collected_after_every_run(tmp_path: Path) -> None:
    made = Made(tmp_path, 1000.0)
    made.run()
    assert made.collected == [0, 1, 2, 3]
    assert made.starts == [0]  # one process for all
    assert len(read_records(made.records).runs) == 4


def test_the_next_session_goes_on_from_the_records(tmp_path: Path) -> None:
    first = Made(tmp_path / "first", 80.0)
    assert first.run() == NAMES[:2]
    second = Made(tmp_path / "second", 1000.0)
    restore(read_records(first.records), second.out, second.plan.configs)
    assert second.run() == NAMES[2:]
    assert len(read_records(second.records).runs) == 4


def test_a_failed_run_is_recorded_and_the_rest_goes_on_in_a_new_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Made(tmp_path, 1000.0, trouble="reff 0")
    assert made.run() == NAMES
    assert made.starts == [0, 2]
    assert len(read_records(made.records).runs) == 3
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].endswith("seed 0: test 40.0%, 20 s; 3 runs and 16.3 min left")
    assert "FAILED: RuntimeError: the GPU is gone, 50 s; 2 runs and 15.5 m" in lines[1]
    assert Made(tmp_path, 1000.0).run() == ["reff 0"]  # what had failed, no more


def invoke(*words: object, out: Path | None = None) -> Result:
    env = {"OUT": None if out is None else str(out)}
    return CliRunner().invoke(study_gpu.main, [str(word) for word in words], env=env)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up grid of six runs in place of the real one, beside its runs."""
    monkeypatch.setattr(study_gpu, "GRID", fakes.write_grid(tmp_path))
    monkeypatch.setattr(study_gpu, "run_training", fakes.train)
    monkeypatch.setattr(study_gpu, "run_evaluation", fakes.evaluate)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_runs_collects_prints_and_goes_on(small: Path) -> None:
    runs = small / "runs" / "small"
    runs.mkdir(parents=True)
    (runs / ".trouble").write_text(json.dumps({"reff 5 1": "kill"}))
    first = invoke("--device", "cpu", out=small / "one")
    assert first.exit_code == 1
    assert "killed by SIGKILL" in first.stdout
    assert "main: test_accuracy in per cent" in first.stdout
    assert first.stderr == "Error: 1 runs failed: see runs/small\n"
    records = small / "one" / "records.jsonl"
    shown = [path.name for path in records.parent.iterdir() if path.name[0] != "."]
    assert shown == [records.name]
    assert len(read_records(records).runs) == 5
    (runs / ".trouble").unlink()
    words = ("--device", "cpu", "--runs", small / "new", "--records", records)
    second = invoke(*words, out=small / "two")
    assert second.exit_code == 0, second.output
    assert f"5 runs taken from {records}" in second.stdout
    assert second.stdout.count(" min left\n") == 1
    assert len(read_records(small / "two" / "records.jsonl").runs) == 6


def test_without_time_nothing_is_run_and_what_is_known_is_shown(small: Path) -> None:
    first = invoke("--device", "cpu", "--minutes", 0, out=small / "one")
    assert first.exit_code == 0, first.output
    assert "0 runs done: " in first.stdout
    assert read_records(small / "one" / "records.jsonl").runs == {}
    # Where only OUT outlives the machine, its records count without being named.
    invoke("--device", "cpu", out=small / "one")
    again = invoke("--device", "cpu", "--minutes", 0, "--runs", "x", out=small / "one")
    assert "6 runs taken from " in again.stdout


MISTAKES = {
    "weights": (["--set", "weights=no.npz"], "weights = 'no.npz': there is no such"),
    "device": (["--device", "tpu"], "--device tpu: allowed are auto, cpu, cuda"),
    "records": (["--records", "no.jsonl"], "File 'no.jsonl' does not exist"),
    "minutes": (["--minutes", "-1"], "-1.0 is not in the range x>=0"),
    "foreign": (["--records", "grid.yaml"], "grid.yaml, line 1: can't be read"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gives_one_line(name: str, small: Path) -> None:
    words, message = MISTAKES[name]
    result = invoke("--device", "cpu", *words, out=small / "out")
    assert result.exit_code == 2
    (line,) = (line for line in result.stderr.splitlines() if line[:6] == "Error:")
    assert message in line
    assert not (small / "runs").exists()


def test_a_place_for_the_records_is_asked_for() -> None:
    result = invoke()
    assert result.exit_code == 2
    assert "Missing option '--out' (env var: 'OUT')" in result.stderr


def test_a_file_in_the_place_of_the_folder_is_named(small: Path) -> None:
    (small / "out").write_text("")
    result = invoke("--device", "cpu", out=small / "out")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {small / 'out' / 'records.jsonl'}: File exists\n"


@pytest.mark.slow
def test_the_real_grid_runs_in_small(tmp_path: Path) -> None:
    sets = [word for one in TINY for word in ("--set", one)]
    words = ["--device", "cpu", "--runs", tmp_path / "runs"]
    result = invoke(*words, *sets, "--minutes", 0.3, out=tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "tab2: test_accuracy in per cent digit_size = 32" in result.stdout
    runs = open_runs(tmp_path / "out" / "records.jsonl").runs()
    done = [run.method for run in runs if run.status == "done"]
    assert done[:3] == ["baseline", "reff", "reff_l1"]
    assert len(done) < 192
