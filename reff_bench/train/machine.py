"""What a run runs on: device, precision, threads, memory."""

import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import timm
import torch
import torchvision

from reff_bench.results.run import RunError

KIB = 1024
CPU = torch.device("cpu")
PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class ComputeContext:
    """Where and in what arithmetic a run runs.

    Attributes:
        device: of the model and the batches.
        autocast: the type of mixed precision, or None for float32 throughout.
    """

    device: torch.device
    autocast: torch.dtype | None

    @property
    def is_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    def describe(self) -> str:
        """Return the device's name."""
        if self.is_gpu:
            return str(torch.cuda.get_device_name(self.device))
        return platform.processor() or platform.machine()

    def peak_memory_bytes(self) -> int:
        """Return the most memory used, since `find_context` of the GPU.

        On a CPU it is the most that the process has ever used.
        """
        if self.is_gpu:
            return int(torch.cuda.max_memory_allocated(self.device))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * KIB


def find_context(device: str = "auto", precision: str = "auto") -> ComputeContext:
    """Return where a run runs.

    Args:
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or one such as `cuda:1`.
        precision: `auto` (bfloat16 on a GPU that has it, else float32), `float32`,
            `bfloat16` or `float16`.

    Raises:
        RunError: a GPU is asked for and there is none, or the name is unknown.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError:
        raise RunError(
            f"unknown device {device!r}; allowed: auto, cpu, cuda, cuda:1, ..."
        ) from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise RunError(f"device {device}: torch finds no GPU here; use cpu or auto")
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place)
    return ComputeContext(place, _autocast(place, precision))


def _autocast(device: torch.device, precision: str) -> torch.dtype | None:
    if precision == "auto":
        able = device.type == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bfloat16" if able else "float32"
    return PRECISIONS.get(precision)


@contextmanager
def limited(
    threads: int, seed: int, device: torch.device = CPU, *, search: bool = False
) -> Iterator[None]:
    """Use so many threads, and a random state of one's own, within the block.

    Of several GPUs only the run's own is touched: a process that so much as reads
    another one's random state holds some hundred MB of it from then on.

    Args:
        threads: of the CPU.
        seed: of torch's global states.
        device: that the run runs on.
        search: on a GPU, let cuDNN time its algorithms for each shape and keep the
            fastest: worth it for a training, too slow for a few batches.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    gpus = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=gpus), ExitStack() as stack:
            if gpus:
                stack.enter_context(_on_gpu(device, search=search))
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _on_gpu(device: torch.device, *, search: bool) -> Iterator[None]:
    """Make a GPU the current one; give what isn't used back in the end.

    What is said to be float32 is float32: torch would run convolutions in TF32, with 10
    bits of mantissa. Who wants speed has bfloat16.
    """
    cudnn: Any = torch.backends.cudnn  # its stubs know no `conv`
    matmul = torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.conv.fp32_precision, matmul.fp32_precision
    try:
        cudnn.benchmark = search
        cudnn.conv.fp32_precision = matmul.fp32_precision = "ieee"
        with torch.cuda.device(device):
            yield
            torch.cuda.empty_cache()  # once a run: others may share the GPU
    finally:
        cudnn.benchmark, cudnn.conv.fp32_precision, matmul.fp32_precision = before


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "timm": timm.__version__,
    }
