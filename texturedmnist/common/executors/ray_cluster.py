"""The executor of a Ray cluster, as the process that starts the run sees it."""

import logging
import os
import re
import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from texturedmnist.common.executors.interface import (
    ExecutorError,
    Outcome,
    Report,
    Result,
    Task,
    WorkerError,
)
from texturedmnist.common.executors.ray_worker import (
    ProgressActor,
    Reply,
    SharedContext,
    do,
)

POLL_SECONDS = 0.2
CHECK_SECONDS = 10.0  # between two checks of which nodes are left
GRACE_SECONDS = 10.0  # for a task to come to its next report and stop there
REACH_SECONDS = 10.0  # for the cluster's first node to answer
RETRIES = 3  # of a task whose worker or node is lost
WAITING_TASKS = 8  # handed to Ray beyond what can run, so that no core waits for us


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task keeps from others while it runs, in Ray's units.

    Attributes:
        cpus: cores.
        gpus: GPUs; a fraction shares one.
    """

    cpus: float = 1.0
    gpus: float = 0.0

    def __str__(self) -> str:
        """Return it in words."""
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.cpus:g} CPU{gpus}"


class RayCluster:
    """Runs tasks on a Ray cluster, which it joins or, where there is none, starts.

    A task whose worker or node is lost is run again elsewhere. Entered before use.

    Args:
        address: of the cluster, as `host:port`; None for $RAY_ADDRESS, else one that
            was started on this machine, else a new one of this machine alone.
        jobs: tasks at once, at most; None for as many as the cluster has room for.
        needs: what a task needs.

    Raises:
        ExecutorError: no cluster can be reached there.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        jobs: int | None = None,
        needs: Callable[[Any], Needs] = lambda task: Needs(),
    ) -> None:
        """Connect to nothing yet."""
        self.address, self.jobs, self.needs = address, jobs, needs
        self._joined = False

    def __enter__(self) -> Self:
        """Join the cluster."""
        if not ray.is_initialized():
            _join(self.address)
            self._joined = True
        return self

    def __exit__(self, *error: object) -> None:
        """Leave it, unless this process had joined it before."""
        if self._joined:
            ray.shutdown()
            self._joined = False

    @property
    def nodes(self) -> list[Needs]:
        """What each living node has."""
        alive = [one for one in ray.nodes() if one["Alive"]]  # type: ignore[no-untyped-call]
        resources = [one["Resources"] for one in alive]
        return [Needs(one.get("CPU", 0.0), one.get("GPU", 0.0)) for one in resources]

    @property
    def has_gpus(self) -> bool:
        """Whether any node has a GPU."""
        return any(node.gpus for node in self.nodes)

    def describe(self) -> str:
        """Return what the cluster has, in words."""
        nodes = self.nodes
        cpus, gpus = sum(n.cpus for n in nodes), sum(n.gpus for n in nodes)
        count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
        return f"a Ray cluster of {count} with {Needs(cpus, gpus)}"

    def run_each(
        self,
        work: Callable[[Task, Report], Result],
        tasks: Sequence[Task],
        *,
        report: Callable[[int, Any], None],
        started: Callable[[int], None] = lambda number: None,
    ) -> Generator[Outcome[Result], None, None]:
        """Do every task; see `Executor`.

        Raises:
            ExecutorError: a task needs more than any node has.
            WorkerError: no node is left that could do the rest.
        """
        if not tasks:
            return
        for needs in set(map(self.needs, tasks)):
            self.check_room(needs)
        run = _Run(self, work, tasks, report, started)
        try:
            while run.submit():
                yield from run.take()
        finally:
            run.stop()

    def check_room(self, needs: Needs) -> None:
        """Refuse what no node could ever run.

        Raises:
            ExecutorError: says what is needed and what there is.
        """
        nodes = self.nodes
        if not any(n.cpus >= needs.cpus and n.gpus >= needs.gpus for n in nodes):
            there = "; ".join(map(str, nodes)) or "none"
            raise ExecutorError(
                f"a task needs {needs}, which no node of the Ray cluster has ({there})"
                ": add a larger node, or ask for less"
            )


class _Run:
    """Tasks under way: at most a window of them is in Ray's hands at any time."""

    def __init__(
        self,
        cluster: RayCluster,
        work: Callable[[Any, Report], Any],
        tasks: Sequence[Any],
        report: Callable[[int, Any], None],
        started: Callable[[int], None],
    ) -> None:
        self.cluster, self.tasks = cluster, tasks
        self.report, self.started = report, started
        self.next, self.pending = 0, dict[Any, int]()
        here = NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        remote = ray.remote(ProgressActor).options(num_cpus=0, scheduling_strategy=here)
        self.actor: Any = remote.remote()
        self.setting = ray.put(
            SharedContext([ray.put(work)], self.actor, str(Path.cwd()))
        )
        self.do = ray.remote(do)
        self.window, self.checked = 0, -CHECK_SECONDS
        self.grace = GRACE_SECONDS

    def submit(self) -> bool:
        """Fill the window; return whether anything is under way."""
        self._look_at_nodes()
        while len(self.pending) < self.window and self.next < len(self.tasks):
            needs = self.cluster.needs(self.tasks[self.next])
            # The window is the limit: SPREAD lets the nodes share a small one evenly.
            remote = self.do.options(
                num_cpus=needs.cpus,
                num_gpus=needs.gpus,
                max_retries=RETRIES,
                scheduling_strategy="SPREAD",
            )
            sent = remote.remote(self.setting, self.next, self.tasks[self.next])
            self.pending[sent] = self.next
            self.next += 1
        return bool(self.pending)

    def take(self) -> list[Outcome[Any]]:
        """Wait a moment for tasks to end; pass events on."""
        ready, _ = ray.wait(list(self.pending), timeout=POLL_SECONDS)
        for event in ray.get(self.actor.collect.remote()):
            if event.begins:
                self.started(event.number)
            for message in event.messages:
                self.report(event.number, message)
        return [self._outcome(one) for one in ready]

    def stop(self) -> None:
        """Stop what is under way: at its next report, else by force."""
        with suppress(ray.exceptions.RayError):
            if self.pending:
                ray.get(self.actor.stop.remote())
                left = list(self.pending)
                _, left = ray.wait(left, num_returns=len(left), timeout=self.grace)
                for one in left:
                    ray.cancel(one, force=True)
            ray.kill(self.actor)

    def _outcome(self, reference: Any) -> Outcome[Any]:  # noqa: ANN401
        number = self.pending.pop(reference)
        try:
            reply: Reply = ray.get(reference)
        except ray.exceptions.RayError as error:
            return Outcome(number, None, _loss(error))
        for message in reply.messages:
            self.report(number, message)
        done = reply.kind == "done"
        content = reply.content
        return Outcome(number, content if done else None, None if done else content)

    def _look_at_nodes(self) -> None:
        """Size the window by the cores that are there; end where nothing can go on."""
        if time.monotonic() - self.checked < CHECK_SECONDS:
            return
        self.checked = time.monotonic()
        cores = int(sum(node.cpus for node in self.cluster.nodes))
        self.window = self.cluster.jobs or cores + WAITING_TASKS
        under_way = [self.tasks[number] for number in self.pending.values()]
        try:
            for needs in set(map(self.cluster.needs, under_way)):
                self.cluster.check_room(needs)
        except ExecutorError as error:
            self.grace = 0.0  # what waits for a lost node would wait for ever
            raise WorkerError(
                f"nodes of the Ray cluster were lost: {error}; then run the same "
                "command again to continue"
            ) from None


def _join(address: str | None) -> None:
    # Off unless asked for: a run says nothing to anybody outside.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray gives its workers the least priority, less than any other process's.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Ray would announce that this changes, once in every run.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    where = address or os.environ.get("RAY_ADDRESS")
    try:
        if where is not None and where not in ("auto", "local"):
            _reach(where)
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False,
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ExecutorError(
            f"can't join a Ray cluster at {where or 'this machine'}: {reason}; start "
            "one there with 'ray start --head' (and set RAY_AUTH_MODE=token if it asks "
            "for a token), or leave --address away to use this machine alone"
        ) from None


def _reach(address: str) -> None:
    """Knock at an address: Ray itself would try for ten minutes."""
    host, _, port = address.rpartition(":")
    known = re.fullmatch("[0-9]{1,5}", port) and int(port) < 2**16
    if not (host and known) or "/" in host:
        raise ValueError("the address should be HOST:PORT, such as head:6379")
    socket.create_connection((host, int(port)), REACH_SECONDS).close()


def _loss(error: BaseException) -> WorkerError:
    """Return how a task ended that neither finished nor failed by itself."""
    kind, reason = type(error).__name__, str(error).strip().partition("\n")[0]
    return WorkerError(
        f"a worker of the Ray cluster was lost, also when tried again ({kind}: "
        f"{reason})",
        "run the same command again to continue",
    )
