"""Where the runs of a grid run: devices and executor."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from reff_bench.grid.config import GridError, RunConfig
from reff_bench.results.plan import Plan
from texturedmnist.common.executors import (
    Executor,
    LocalProcesses,
    ThisProcess,
    open_ray,
)

SMALL_PX = 64  # a small network on such images leaves most of a GPU idle
SMALL_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user asked for.

    Attributes:
        executor: one of `texturedmnist.common.executors.EXECUTORS`.
        address: of a Ray cluster.
        jobs: runs at once.
        device: `auto`, `cpu`, `cuda` or one such as `cuda:1`.
        gpu_share: of a GPU for each run, in (0, 1].
        timeout: minutes for each run; see `LocalProcesses`.
    """

    executor: str = "local"
    address: str | None = None
    jobs: int | None = None
    device: str = "auto"
    gpu_share: float | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """Where runs are done, also in words; workers use the devices in turn."""

    executor: Executor
    devices: tuple[str, ...]
    words: str


@contextmanager
def open_resources(plan: Plan, asked: RunOptions, count: int) -> Iterator[Resources]:
    """Find devices for some runs, none for none; join the cluster for the block.

    Raises:
        GridError: a GPU is asked for and there is none, or a time limit on Ray.
        ExecutorError: no cluster can be reached.
    """
    if not count:
        yield Resources(ThisProcess(), ("cpu",), "nothing left to run")
        return
    if asked.executor == "local":
        devices = find_devices(asked.device)
        jobs = asked.jobs or default_jobs(plan, devices, asked.gpu_share)
        jobs = min(jobs, count)
        words = f"{jobs} at once on {', '.join(devices[:jobs])}"
        seconds = None if asked.timeout is None else 60 * asked.timeout
        yield Resources(LocalProcesses(jobs, seconds), devices, words)
        return
    if asked.timeout is not None:
        raise GridError(
            "--timeout ends processes of this machine and can't be met on Ray: leave "
            "it away, or run without --executor ray"
        )

    def needs(config: RunConfig) -> tuple[float, float]:
        share = asked.gpu_share or gpu_share(config)
        return config.threads, share if device == "cuda" else 0.0

    with open_ray(asked.address, jobs=asked.jobs, needs=needs) as cluster:
        device = _ray_device(asked.device, has_gpus=cluster.has_gpus)
        yield Resources(cluster, (device,), f"{device} of {cluster.describe()}")


def find_devices(device: str) -> tuple[str, ...]:
    """Return torch's names of the devices that `RunOptions.device` asks for.

    Raises:
        GridError: a GPU is asked for and there is none.
    """
    if device == "cpu" or ":" in device:
        return (device,)
    # Not needed for the CPU, nor before it is known that work is left.
    import torch

    count = torch.cuda.device_count()
    if count:
        return tuple(f"cuda:{number}" for number in range(count))
    if device == "cuda":
        raise GridError(
            "--device cuda: torch finds no GPU here; use --device cpu, or install a "
            "torch build for this machine's driver"
        )
    return ("cpu",)


def default_jobs(
    plan: Plan, devices: tuple[str, ...], share: float | None = None
) -> int:
    """Return how many runs go on at once: as GPUs, or else as cores, have room for.

    Each takes a share of a GPU, by default that of the plan's largest.
    """
    room = max(1, _cores() // max(config.threads for config in plan.configs))
    if devices == ("cpu",):
        return room
    each = share or max(map(gpu_share, plan.configs))
    return min(int(len(devices) / each), max(room, len(devices)))


def gpu_share(config: RunConfig) -> float:
    """Return what a run takes of a GPU: all, or a quarter for a small one."""
    small = config.backbone == "resnet_small" and config.image_size <= SMALL_PX
    return SMALL_SHARE if small else 1.0


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def _ray_device(device: str, *, has_gpus: bool) -> str:
    """Return torch's name for what a task of the cluster sees: its own GPU is 0."""
    if ":" in device:
        raise GridError(
            f"--device {device} is a GPU of one machine, and Ray hands GPUs out "
            "itself; with --executor ray give auto, cpu or cuda"
        )
    if device == "cuda" and not has_gpus:
        raise GridError(
            "--device cuda: no node of the Ray cluster has a GPU; use --device cpu, or "
            "start its nodes with --num-gpus"
        )
    return "cuda" if has_gpus and device != "cpu" else "cpu"
