import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from filelock import FileLock

from reff_bench.grid.config import GridError, RunConfig
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid
from reff_bench.identity.configs import identify_configs
from reff_bench.identity.tree import DataError
from reff_bench.results.folder import open_runs
from reff_bench.results.json_file import ResultsError
from reff_bench.results.plan import read_plan
from reff_bench.results.run import RunError, RunProgress, read_record
from reff_bench.runner.board import ProgressBoard
from reff_bench.runner.run import find_work, plan_grid, run_work
from reff_bench.runner.where import (
    RunOptions,
    _ray_device,
    default_jobs,
    find_devices,
    open_resources,
)
from reff_bench.runner.work import RunWork, is_outside, reason_of
from tests.reff_bench.fakes import (
    GRID,
    do_nothing,
    evaluate,
    isic_tree,
    make_config,
    make_plan,
    train,
    write_grid,
)
from texturedmnist.common.executors import (
    Executor,
    LocalProcesses,
    Part,
    ThisProcess,
    TimeLimitError,
    WorkerError,
)
from texturedmnist.common.files import FolderError

ROOT = Path(__file__).parents[2]
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for runs, which isn't there yet."""
    return tmp_path / "out"


def run(
    out: Path, *, retry: bool = False, executor: Executor | None = None, **options: Any
) -> bool:
    """Run the made-up grid with the made-up work."""
    out.mkdir(exist_ok=True)
    (out / ".trouble").write_text(json.dumps(options.pop("trouble", {})))
    plan, part = plan_grid(load_grid(write_grid(out.parent))), options.pop("part", None)
    options = {"train": train, "evaluate": evaluate, "devices": ("cpu",), **options}
    work = find_work(plan, out, retry=retry, part=part)
    executor = executor or LocalProcesses(2)
    return run_work(work, RunWork(out, **options), executor, show=False).are_done


def failed(out: Path) -> list[dict[str, Any]]:
    """The records of the runs that failed."""
    folders = [path.parent for path in out.glob("cells/*/record.json")]
    records = [read_record(folder) or {} for folder in folders]
    return [record for record in records if record["status"] == "failed"]


def tries(out: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in out.glob("cells/*/tries"))


TROUBLE = {
    "kill": "a worker process was killed by SIGKILL, perhaps for want of memory",
    "nan": "the loss is NaN at step 3",
    "memory": "out of memory: no more",
    "silent": "RuntimeError: no further words",
}


def test_failed_runs_are_recorded_and_the_rest_goes_on(out: Path) -> None:
    configs = ("reff 5 0", "reff 5 1", "reff all 0", "reff all 1")
    assert not run(out, trouble=dict(zip(configs, TROUBLE, strict=True)))
    counts = open_runs(out).counts()
    assert counts == {"done": 2, "failed": 4, "incomplete": 0, "pending": 0}
    assert {record["reason"] for record in failed(out)} == set(TROUBLE.values())
    assert len(list(out.glob("cells/*/error.txt"))) == 3  # none of the killed one
    # Nobody but the surroundings was to blame for two; the others wait for the word.
    assert not run(out)
    assert open_runs(out).counts()["failed"] == 2
    assert tries(out) == 8
    assert run(out, retry=True)
    assert tries(out) == 10
    assert list(out.glob("cells/*/error.txt")) == []


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("train", "the training ended without a record"),
        ("evaluate", "the evaluation ended without evaluation.json"),
    ],
)
def test_work_that_leaves_nothing_fails(step: str, reason: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {step: do_nothing}
    assert not run(tmp_path / "out", **options, executor=ThisProcess())
    record, *_ = failed(tmp_path / "out")
    assert record["reason"] == reason
    assert (record["val_accuracy"] is None) is (step == "train")


def test_workers_take_the_devices_in_turn(tmp_path: Path, out: Path) -> None:
    plan = plan_grid(load_grid(write_grid(tmp_path)))
    work = RunWork(out, train, evaluate, devices=("cuda:0", "cuda:1"))
    run_work(find_work(plan, out), work, LocalProcesses(2), show=False)
    used = {path.read_text().strip() for path in out.glob("cells/*/tries")}
    assert used == {"cuda:0", "cuda:1"}


def test_runs_of_another_grid_are_used_and_kept(tmp_path: Path, out: Path) -> None:
    run(out, executor=ThisProcess())
    plan = plan_grid(load_grid(write_grid(tmp_path), ["seed=[1, 2]"]))
    assert [config.seed for config in find_work(plan, out).todo] == [2, 2, 2]


def test_a_locked_folder_is_refused(out: Path) -> None:
    out.mkdir()
    message = "another process is writing to"
    with FileLock(out / ".lock"), pytest.raises(FolderError, match=message):
        run(out)


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ResultsError, match=r"aren't a benchmark's: letter.txt; choose"):
        find_work(make_plan([]), tmp_path)
    with pytest.raises(ResultsError, match=r"letter.txt is a file; give a folder"):
        find_work(make_plan([]), tmp_path / "letter.txt")


RUN = """
import sys
from pathlib import Path
from tests.reff_bench.test_runner import run
from texturedmnist.common.executors import interrupts_raised
if __name__ == "__main__":
    with interrupts_raised():
        run(Path(sys.argv[1]), trouble={"reff 5 1": "sleep", "reff all 1": "sleep"})
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, *STOPS])
def test_stopped_runs_continue(sign: signal.Signals, tmp_path: Path, out: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    process = subprocess.Popen(
        [sys.executable, script, out],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while len(list(out.glob("cells/*/tries"))) < 6 and time.monotonic() < deadline:
        time.sleep(0.1)
    if sign in STOPS:  # as a scheduler or a terminal does it: to the workers, too
        os.killpg(process.pid, sign)
    else:
        process.kill()
    process.wait(20)
    time.sleep(0.3)
    counts = open_runs(out).counts()
    assert counts == {"done": 4, "failed": 0, "incomplete": 2, "pending": 0}
    assert run(out)
    assert tries(out) == 8


def test_parts_run_all_runs_between_them(out: Path) -> None:
    assert run(out, part=Part(2, 2))
    plan = read_plan(out)
    assert open_runs(out).counts()["done"] == 3
    # The same share whatever is done already: a second run of it finds nothing to do.
    assert find_work(plan, out, part=Part(2, 2)).todo == ()
    assert run(out, part=Part(1, 2))
    assert find_work(plan, out).todo == ()
    assert tries(out) == 6


def test_a_part_that_failed_says_so_whatever_the_others_do(out: Path) -> None:
    trouble = {"reff 5 0": "nan"}
    assert {run(out, part=Part(n, 2), trouble=trouble) for n in (1, 2)} == {True, False}


def test_small_runs_share_a_gpu() -> None:
    gpus = ("cuda:0", "cuda:1")
    large = make_plan([make_config(), make_config(image_size=224)])
    assert default_jobs(large, gpus) == 2
    assert default_jobs(large, gpus, share=0.01) <= max(2, os.cpu_count() or 1)
    small = make_plan([make_config()])
    assert default_jobs(small, gpus) == min(8, max(2, default_jobs(small, ("cpu",))))
    greedy = make_plan([make_config(threads=1024)])
    assert (default_jobs(greedy, ("cpu",)), default_jobs(greedy, gpus)) == (1, 2)


def test_a_cluster_gives_runs_devices() -> None:
    assert _ray_device("auto", has_gpus=True) == "cuda"
    assert _ray_device("auto", has_gpus=False) == "cpu"
    assert _ray_device("cpu", has_gpus=True) == "cpu"
    with pytest.raises(GridError, match="--device cuda:1 is a GPU of one machine, and"):
        _ray_device("cuda:1", has_gpus=True)
    with pytest.raises(GridError, match="--device cuda: no node of the Ray cluster"):
        _ray_device("cuda", has_gpus=False)


def test_the_reason_is_one_line() -> None:
    assert reason_of(RunError("NaN\nmore")) == "NaN"
    assert reason_of(ValueError("a\nb")) == "ValueError: a"


def test_devices_are_found_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_devices("cpu") == ("cpu",)
    assert find_devices("cuda:3") == ("cuda:3",)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert find_devices("auto") == ("cpu",)
    with pytest.raises(GridError, match="--device cuda: torch finds no GPU here"):
        find_devices("cuda")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert find_devices("auto") == ("cuda:0", "cuda:1")


def test_a_run_that_hangs_is_given_up_and_the_rest_goes_on(out: Path) -> None:
    limited = LocalProcesses(2, timeout=1.5)
    assert not run(out, trouble={"reff 5 1": "hang"}, executor=limited)
    (record,) = failed(out)
    assert record["reason"] == "not done after 0.025 minutes, the --timeout"
    assert open_runs(out).counts()["done"] == 5
    assert not run(out, executor=limited)
    assert run(out, retry=True, executor=LocalProcesses(2, timeout=300.0))


def test_a_worker_lost_after_its_run_was_done_loses_nothing(out: Path) -> None:
    assert run(out, evaluate=evaluate_and_die)
    assert run(out)
    assert tries(out) == 6


def evaluate_and_die(config: RunConfig, folder: Path, /, **options: Any) -> None:
    evaluate(config, folder)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("error", "outside"),
    [
        (WorkerError("a worker process was killed by SIGKILL; run"), True),
        (OSError(28, "No space left on device"), True),
        (DataError("the images are gone"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (TimeLimitError("not done after 3 minutes"), False),
        (RunError("the loss is NaN"), False),
        (TypeError("of a method of one's own"), False),
    ],
)
def test_what_came_from_outside_is_tried_again(error: Exception, outside: bool) -> None:
    assert is_outside(error) is outside


def test_a_time_limit_is_refused_on_a_cluster() -> None:
    asked = RunOptions(executor="ray", timeout=3.0)
    resources = open_resources(make_plan([make_config()]), asked, 1)
    message = "--timeout ends processes of this machine and"
    with pytest.raises(GridError, match=message), resources:
        pass


def test_a_damaged_record_is_made_again_by_retry(out: Path) -> None:
    run(out, executor=ThisProcess())
    path = next(out.glob("cells/*/record.json"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert not run(out, executor=ThisProcess())
    assert tries(out) == 6
    assert run(out, retry=True, executor=ThisProcess())
    assert tries(out) == 7
    assert path.read_bytes() == whole


def test_what_killed_writers_left_is_cleared(out: Path) -> None:
    run(out, executor=ThisProcess())
    one, other = [*out.glob("cells/*")][:2]
    for path in (out / ".grid.json", one / ".panels.npz"):
        path.with_name(f"{path.name}.0123.tmp").write_text("")
    (one / "evaluation.json").unlink()
    damaged = other / "evaluation.json"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole.replace(b"0.", b"1."))
    assert run(out, executor=ThisProcess())
    assert tries(out) == 6  # a trained run is only evaluated
    assert damaged.read_bytes() == whole
    assert not list(out.rglob("*.tmp"))


def test_a_stream_that_takes_nothing_stops_no_run() -> None:
    error = OSError(28, "No space left on device")
    full = Mock(isatty=lambda: False, write=Mock(side_effect=error))
    with ProgressBoard([make_config()], stream=full) as board:
        board.started(0)
        board.finished(0, "done")


def identified(configs: Sequence[RunConfig], root: Path) -> RunConfig:
    """The first run, with what its data are known by."""
    return identify_configs(configs, data_root=root, cache_dir=None)[0]


def test_an_official_tree_is_known_by_its_files(tmp_path: Path) -> None:
    configs = expand(load_grid(write_grid(tmp_path)))
    tree, images = tmp_path / "tree", "ISIC-2017_Test_v2_Data"
    first = identified(configs, tmp_path)
    assert first.root == str(tree)
    (tree / "runs").mkdir()
    for other in (".DS_Store", f"{images}/._Test_v2_0.jpg", "runs/a.jpg"):
        (tree / other).write_bytes(b"123")
    assert identified(configs, tmp_path) == first
    (tree / images / "Test_v2_0.jpg").write_bytes(b"123")
    assert identified(configs, tmp_path).data_identity != first.data_identity


def test_the_default_root_lies_under_the_data_root(tmp_path: Path) -> None:
    text = GRID.replace("  root: {root}\n", "")
    configs = expand(load_grid(write_grid(tmp_path, text)))
    with pytest.raises(GridError, match=r"can't read .*/isic2017/ISIC-2017_Training"):
        identified(configs, tmp_path)
    isic_tree(tmp_path / "isic2017")
    assert identified(configs, tmp_path).root == str(tmp_path / "isic2017")


def test_weights_are_known_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    grid = load_grid(write_grid(tmp_path), [f"weights={path}"])
    with pytest.raises(GridError, match="there is no such file; allowed: imagenet"):
        plan_grid(grid)
    path.write_bytes(b"1")
    config = plan_grid(grid).configs[0]
    assert config.weights == str(path)
    assert config.weights_identity is not None


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    config = make_config(root=str(tmp_path))
    with pytest.raises(GridError, match=r"data.root: .* has no manifest.json"):
        identified([config], tmp_path)
    sources = {"digits": "mnist", "digit_textures": "dtd", "background_textures": "dtd"}
    numbers = {"embedded_instances": 24, "dtd_partition": 1, "data_seed": 0}
    config = make_config("reff", **{**sources, **numbers})
    with pytest.raises(GridError, match="the data of the grid: "):
        identified([config], tmp_path)


def test_progress_can_be_read_in_a_pipe() -> None:
    clock, stream = Mock(return_value=0.0), io.StringIO()
    configs = [make_config(seed=seed, epochs=10) for seed in (0, 1)]
    with ProgressBoard(configs, stream=stream, clock=clock) as board:
        board.started(0)
        clock.return_value = 20.0
        losses = {"loss": 0.5, "explanation": 0.125}
        board.reported(0, RunProgress("training", 0.5, 5, losses, 1234.5))
        clock.return_value = 40.0
        board.finished(0, "done")
        board.started(1)
        board.reported(1, RunProgress("annotator", 0.25))
        clock.return_value = 51.0
        board.started(1)
    name = "ReFF, annotations all, bg 0, tex 0, weight 300, seed"
    assert stream.getvalue().splitlines() == [
        "about 60 s left; run 1 of 2: epoch 5 of 10, loss 0.5, explanation 0.125, "
        f"1234 images/s ({name} 0)",
        f"run 1 of 2 ({name} 0): done, 40 s",
        f"about 40 s left; run 2 of 2: starting ({name} 1)",
        f"run 2 of 2 ({name} 1): its worker was lost, goes on elsewhere",
        f"about 51 s left; run 2 of 2: starting ({name} 1)",
    ]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def test_a_terminal_has_one_line_that_is_redrawn() -> None:
    clock, stream = Mock(return_value=0.0), Terminal()
    with ProgressBoard([make_config()], stream=stream, clock=clock) as board:
        board.started(0)
        clock.return_value = 1.0
        board.reported(0, RunProgress("annotator", 0.25))
        board.finished(0, "done")
    assert "annotator, 25%" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1
    silent = Terminal()
    with ProgressBoard([make_config()], show=False, stream=silent) as board:
        board.started(0)
        board.finished(0, "done")
    assert silent.getvalue() == ""
