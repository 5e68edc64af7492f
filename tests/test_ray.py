"""A real Ray cluster of several nodes on this machine."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray._private.node import Node
from ray.cluster_utils import Cluster

from reff_bench.grid.load import load_grid
from reff_bench.results.folder import find_runs
from reff_bench.results.plan import Plan
from reff_bench.results.run import run_folder
from reff_bench.runner.run import find_work, plan_grid, run_work
from reff_bench.runner.work import RunWork, run_evaluation
from reff_bench.runner.work import run_training as train
from tests.reff_bench import fakes
from texturedmnist.common.executors import (
    Executor,
    ExecutorError,
    Report,
    WorkerError,
    check_executor,
    local,
    ray_cluster,
    run_tasks,
)
from texturedmnist.common.executors.ray_cluster import Needs, RayCluster
from texturedmnist.common.executors.ray_worker import SharedContext, do
from texturedmnist.generate import Build, plan_build, run_build
from texturedmnist.recipe import Recipe

ROOT = Path(__file__).parents[1]
# A lost node is noticed after some seconds, not after half a minute.
QUICK = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000}
QUICK |= {"health_check_failure_threshold": 3, "health_check_timeout_ms": 3000}

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray's own


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Two nodes, one core each; the first has a GPU by name."""
    head = {"num_cpus": 1, "num_gpus": 1, "_system_config": QUICK}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_worker_niceness", "0")
        try:
            cluster = Cluster(initialize_head=True, head_node_args=head)
            cluster.add_node(num_cpus=1)
        except Exception as error:  # Ray's own start, before anything of ours
            pytest.skip(f"Ray can't start a cluster on this machine: {error}")
    with RayCluster(cluster.address):  # joined once: workers are kept between tests
        yield cluster
    cluster.shutdown()  # type: ignore[no-untyped-call]
    cluster.head_node = None
    with warnings.catch_warnings():
        # Ray leaves files and processes to the collector, which would warn much later.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def ray_nodes(nodes: Cluster) -> Iterator[RayCluster]:
    with RayCluster(nodes.address) as cluster:
        yield cluster


def ignore(*message: Any) -> None:
    pass


def square(task: int, report: Report) -> int:
    report(1)
    return task * task


def troubled(task: str, report: Report) -> str:
    """Fails in the way that the task names, or leaves a mark and fails once."""
    if task == "raise":
        raise ValueError("as asked")
    if task == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "sleep":
        for _ in range(600):
            time.sleep(0.05)
            report(1)
    return task


def die_once(mark: Path, report: Report) -> str:
    """Counts ten, is killed at the fifth, and counts ten again."""
    first = not mark.exists()
    mark.touch()
    for count in range(10):
        time.sleep(0.1)
        report(1)
        if first and count == 5:
            os.kill(os.getpid(), signal.SIGKILL)
    return str(Path.cwd())


def read_file(path: Path, report: Report) -> tuple[int, bool]:
    content = report.fetch(path)
    return int(content.astype(np.int64).sum()), bool(content.flags.writeable)


def meet(task: tuple[Path, int], report: Report) -> str:
    """Waits until all who share the GPU are there at once; says which GPU it sees."""
    folder, count = task
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < count:
        time.sleep(0.05)
        report(0)
    return os.environ["CUDA_VISIBLE_DEVICES"]


def test_each_task_is_done_once_and_every_report_arrives(ray_nodes: RayCluster) -> None:
    assert ray_nodes.describe() == "a Ray cluster of 2 nodes with 2 CPU and 1 GPU"
    reports: list[int] = []
    done = run_tasks(ray_nodes, square, range(30), report=reports.append)
    assert sorted(done) == [n * n for n in range(30)]
    assert reports == [1] * 30
    assert list(run_tasks(ray_nodes, square, [], report=ignore)) == []


def test_each_task_fails_alone(
    ray_nodes: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "RETRIES", 1)
    tasks = ["a", "raise", "kill", "b"]
    found = [*ray_nodes.run_each(troubled, tasks, report=ignore, started=ignore)]
    errors = {tasks[o.number]: o.error for o in found}
    assert [name for name in tasks if errors[name] is None] == ["a", "b"]
    assert isinstance(errors["raise"], ValueError)
    assert isinstance(errors["kill"], WorkerError)
    assert "was lost, also when tried again (WorkerCrashedError" in str(errors["kill"])


def test_work_of_a_lost_worker_is_redone(ray_nodes: RayCluster, tmp_path: Path) -> None:
    counted: list[int] = []
    done = run_tasks(ray_nodes, die_once, [tmp_path / "mark"], report=counted.append)
    assert list(done) == [str(Path.cwd())]  # relative paths mean what they mean here
    assert sum(counted) == 10
    assert min(counted) < 0


def test_closing_the_iterator_stops_the_tasks(ray_nodes: RayCluster) -> None:
    start = time.monotonic()
    outcomes = ray_nodes.run_each(troubled, ["a", "sleep", "sleep"], report=ignore)
    assert next(outcomes).result == "a"
    outcomes.close()
    assert time.monotonic() - start < 25  # of 30 that the tasks would take


def test_files_of_the_driver_are_sent(ray_nodes: RayCluster, tmp_path: Path) -> None:
    path = tmp_path / "pixels.raw"
    path.write_bytes(bytes(range(256)) * 1000)
    tasks = [path] * 3
    done = list(run_tasks(ray_nodes, read_file, tasks, report=ignore))
    assert done == [(255 * 128 * 1000, False)] * 3


def test_runs_share_a_gpu(nodes: Cluster, tmp_path: Path) -> None:
    quarter = Needs(cpus=0.25, gpus=0.25)
    with RayCluster(nodes.address, needs=lambda task: quarter) as cluster:
        done = run_tasks(cluster, meet, [(tmp_path, 4)] * 4, report=ignore)
        assert list(done) == ["0"] * 4


def test_what_no_node_has_room_for_is_refused(nodes: Cluster) -> None:
    with RayCluster(nodes.address, needs=lambda task: Needs(3, 0.5)) as cluster:
        outcomes = cluster.run_each(square, [1], report=ignore)
        with pytest.raises(
            ExecutorError,
            match=r"needs 3 CPU and 0.5 GPU, which no node .* has \(1 CPU.*; 1 CPU",
        ):
            next(outcomes)


def test_another_version_on_a_node_is_named(ray_nodes: RayCluster) -> None:
    reply = do(SharedContext([], None, ".", version="0.0.1"), 0, None)
    assert reply.kind == "failed"
    assert "the run 0.0.1; install the same version on every" in str(reply.content)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:9", "Connection refused"),
        ("127.0.0.1", "the address should be HOST:PORT, such as head:6379"),
        ("ray://127.0.0.1:9", "the address should be HOST:PORT"),
        ("127.0.0.1:99999", "the address should be HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_there_is_named(
    address: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    words = f"a Ray cluster at {address}: .*{reason}"
    with pytest.raises(ExecutorError, match=words), RayCluster(address):
        pass


def test_ray_is_asked_for_only_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    check_executor("ray", "head:6379")
    with pytest.raises(ExecutorError, match="--address is a Ray cluster's: add"):
        check_executor("local", "head:6379")
    monkeypatch.setattr("texturedmnist.common.executors.find_spec", lambda name: None)
    with pytest.raises(ExecutorError, match=r"pip install 'texturedmnist\[ray\]'"):
        check_executor("ray", None)


def plan_shards(folder: Path, name: str) -> Build:
    """Plan 120 small shards."""
    embedded = {f"{role}_textures": "embedded" for role in ("digit", "background")}
    counts = {"train": 500, "val": 50, "test": 50, "embedded_instances": 3}
    fields: dict[str, Any] = {"digits": "embedded", **embedded, **counts}
    recipe = Recipe(bg=0.2, tex=0.5, image_size=28, **fields)
    return plan_build(recipe, folder / name, cache_dir=folder / "cache", shard_size=5)


def kill_when(
    cluster: Cluster, node: Node, there: Callable[[], int], least: int
) -> threading.Thread:
    """Kill a node once so many files are there; return the thread that waits."""

    def wait() -> None:
        while there() < least:
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_killed_node_changes_no_byte(nodes: Cluster, tmp_path: Path) -> None:
    alone = run_build(plan_shards(tmp_path, "alone"))
    third, build = nodes.add_node(num_cpus=1), plan_shards(tmp_path, "tm")
    counts: list[int] = []

    def shards() -> int:
        counts.append(len(list(build.out.glob("*.h5"))))
        return counts[-1]

    thread = kill_when(nodes, third, shards, 20)
    with RayCluster(nodes.address) as cluster:
        assert run_build(build, executor=cluster) == alone
    thread.join()
    assert counts[-1] < len(build.specs)
    assert not list(build.out.glob(".*.tmp"))


def test_losing_the_only_node_with_room_ends_the_run(
    nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "CHECK_SECONDS", 0.5)
    large = nodes.add_node(num_cpus=3)
    start: list[int] = []
    with RayCluster(nodes.address, needs=lambda task: Needs(3)) as cluster:
        outcomes = cluster.run_each(
            troubled, ["sleep"], report=ignore, started=start.append
        )
        thread = kill_when(nodes, large, lambda: len(start), 1)
        with pytest.raises(WorkerError, match="nodes of the Ray cluster were lost: a"):
            list(outcomes)
        thread.join()


def test_runs_run_on_a_cluster_as_here(ray_nodes: RayCluster, tmp_path: Path) -> None:
    made = fakes.make_plan([fakes.make_config(seed=seed) for seed in range(6)])
    found = []
    for name, executor in (("here", local(2)), ("cluster", ray_nodes)):
        out = tmp_path / name
        work = RunWork(out, fakes.train, fakes.evaluate, ("cpu",))
        assert run_work(find_work(made, out), work, executor, show=False).are_done
        files = [(run_folder(out, config) / "record.json") for config in made.configs]
        found.append(
            (find_runs(out, made).counts(), [one.read_text() for one in files])
        )
    assert found[0] == found[1]


GENERATE = ["generate", "--bg=0.2", "--tex=0.5", "--embedded", "--embedded-instances=3"]
GENERATE += ["--image-size=28", "--train=4000", "--val=50", "--test=50"]


def start(*options: object) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", "from texturedmnist.cli import main; main()"]
    return subprocess.Popen(
        [*line, *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_ctrl_c_stops_a_run_that_can_go_on(nodes: Cluster, tmp_path: Path) -> None:
    out = tmp_path / "tm"
    options = [*GENERATE, "--shard-size=20", f"--out={out}", "--executor=ray"]
    options += [f"--address={nodes.address}", f"--cache-dir={tmp_path}"]
    process = start(*options)
    while len(list(out.glob("*.h5"))) < 20 and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted: finished files are kept." in errors
    assert "Traceback" not in errors
    assert not (out / "manifest.json").exists()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.h5")}
    assert 20 <= len(before) < 206
    process = start(*options)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "4000" in output
    assert {path: path.stat().st_mtime_ns for path in before} == before


STUDY = """\
name: tiny
data: {kind: textured_mnist, digits: embedded, textures: embedded, bg: 0.0, tex: 0.5,
       embedded_instances: 3, train: 200, val: 40, test: 40, image_size: 28}
axes: {method: [baseline, reff_plus], annotations: [5], seed: [0, 1]}
training: {backbone: resnet_small, epochs: 2, batch_size: 16, threads: 1}
annotator: {base_channels: 4, steps: 4}
tables:
  - {name: main, rows: annotations, columns: method, value: test_accuracy}
"""


def train_grid(plan: Plan, out: Path, executor: Executor) -> list[Any]:
    """Train a grid and return the weights of its runs, as lists."""
    import torch  # not by the workers, who import this module

    cache = Path(str(plan.cache_dir))
    work = RunWork(out, train, run_evaluation, ("cpu",), cache_dir=cache)
    assert run_work(find_work(plan, out), work, executor, show=False).are_done
    files = [run_folder(out, config) / "checkpoint.pt" for config in plan.configs]
    weights = [torch.load(file)["model"] for file in files]
    return [{name: one.tolist() for name, one in model.items()} for model in weights]


@pytest.mark.slow
def test_real_runs_give_the_same_weights_on_a_cluster(
    nodes: Cluster, ray_nodes: RayCluster, tmp_path: Path
) -> None:
    """On two nodes, and with a node killed while its run trains."""
    file = tmp_path / "grid.yaml"
    file.write_text(STUDY)
    plan = plan_grid(load_grid(file), cache_dir=tmp_path / "cache")
    here = train_grid(plan, tmp_path / "here", local(2))
    assert here == train_grid(plan, tmp_path / "two", ray_nodes)
    third, out = nodes.add_node(num_cpus=1), tmp_path / "killed"

    def checkpoints() -> int:
        return len(list(out.glob("cells/*/checkpoint.pt")))

    thread = kill_when(nodes, third, checkpoints, 1)
    assert here == train_grid(plan, out, ray_nodes)
    thread.join()
