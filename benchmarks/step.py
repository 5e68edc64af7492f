"""Cost of a training step: every method's beside the same network's plain step.

python -m benchmarks.step --backbone resnet_small --image-size 32 --threads 1
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.common import Ratio
from benchmarks.options import COUNT, Bench, benchmark
from reff_bench.catalog.backbones import BACKBONES
from reff_bench.catalog.methods import METHODS as CATALOG
from reff_bench.catalog.methods import method_spec
from reff_bench.data.batch import Batch
from reff_bench.explain import grad_cam
from reff_bench.grid.config import RunConfig
from reff_bench.losses import outside_penalty
from reff_bench.methods.baseline import build_plain, cross_entropy
from reff_bench.methods.method import Method, StepContext, Terms, TrainingImages
from reff_bench.methods.registry import find_method
from reff_bench.train.machine import find_context, limited
from reff_bench.train.step import TrainStep

CLASSES = 10
PER_LAYER = "benchmarks.step:per_layer"
TORCHS_OWN = "benchmarks.step:torchs_own"
GPU_STEPS = 10  # queued before the clock waits for them

Work = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Contender:
    """One kind of step.

    Attributes:
        name: in the report.
        method: of `reff_bench.methods`.
        below: the contender that it is a multiple of, the eager baseline.
        options: of the run.
        asked: of the ratio of times.
    """

    name: str
    method: str
    below: str
    options: dict[str, Any]
    asked: str = ""


METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "ReFF": ("reff", {}),
    "ReFF, torch's second derivatives": (TORCHS_OWN, {}),
    "ReFF, a call per layer": (PER_LAYER, {}),
    "ReFF, weights detached": ("reff", {"detach_weights": True}),
    "ReFF+": ("reff_plus", {}),
    "ABN": ("abn", {}),
    "background swap": ("background_swap", {}),
}
# What others published, beside ReFF: by `--published`.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    spec.title: (name, {})
    for name, spec in CATALOG.items()
    if spec.mark == "other" and name not in ("abn_plain", "background_swap")
}
REFF = "ReFF"
# Of ReFF, of the baseline's time.
ASKED = {"float32": "<= 2.2", "bfloat16": "on a GPU <= 2.2"}


def find_contenders(
    precision: str, *, compiled: bool, published: bool = False
) -> list[Contender]:
    """Return what is compared.

    Args:
        precision: `float32`, `bfloat16`, or `both`: float32 and, of bfloat16, the
            baseline and ReFF.
        compiled: the same two compiled, as well.
        published: ReFF and the methods of others, in float32, and nothing else.
    """
    if published:
        return _contenders("float32", [REFF, *PUBLISHED])
    both = precision == "both"
    found = _contenders("float32" if both else precision, [*METHODS])
    if both:
        found += _contenders("bfloat16", [REFF])
    if compiled:
        found += [
            contender
            for kind in ("float32", "bfloat16")
            if precision in (kind, "both")
            for contender in _contenders(kind, [REFF], compiled=True)
        ]
    return found


def _contenders(
    precision: str, names: Sequence[str], *, compiled: bool = False
) -> list[Contender]:
    """Return the baseline and others, all in one arithmetic."""
    mark = ", bfloat16" if precision == "bfloat16" else ""
    plain, mark = f"baseline{mark}", mark + (", compiled" if compiled else "")
    options = {"precision": precision, "compile": compiled}
    found = [Contender(f"baseline{mark}", "baseline", plain, options)]
    for name in names:
        method, own = {**METHODS, **PUBLISHED}[name]
        asked = ASKED[precision] if name == REFF else ""
        found.append(Contender(name + mark, method, plain, options | own, asked))
    return found


def per_layer() -> Method:
    """ReFF with a gradient call for each layer, for comparison."""
    return Method(build_plain, partial(_focus, per_layer=True))


def torchs_own() -> Method:
    """ReFF without `reff_bench.second_order`, for comparison."""
    return Method(build_plain, partial(_focus, per_layer=False))


def _focus(step: StepContext, *, per_layer: bool) -> Terms:
    output, label = step.forward(step.batch.image), step.batch.label
    stages = [*output.stages.values()]
    maps = [
        one
        for layers in ([[stage] for stage in stages] if per_layer else [stages])
        for one in grad_cam(output.logits, label, layers, create_graph=True)
    ]
    penalty = outside_penalty(maps, step.batch.mask, normalization="none")
    losses = {"cross_entropy": cross_entropy(output.logits, label), "penalty": penalty}
    return Terms(output.logits, losses, {"penalty": 100.0})


def make_work(
    one: Contender, backbone: str, batch: Batch, size: int, device: str
) -> Work:
    """Return whole training steps as a run takes them; it returns their images."""
    count = len(batch)
    fields: dict[str, Any] = {
        **{"dataset": "textured_mnist", "method": one.method, "backbone": backbone},
        **{"batch_size": count, "image_size": size},
    }
    config = RunConfig(**fields, **{**method_spec(one.method).defaults, **one.options})
    machine = find_context(device, config.precision)
    method = find_method(config.method)
    images = TrainingImages(batch.label.cpu(), batch.group.cpu(), CLASSES, 2 * CLASSES)
    state = method.build_state(config, images, 1).train()
    train_step = TrainStep(
        config, method.build(config, CLASSES, 0).train(), machine, state
    )
    steps = GPU_STEPS if machine.is_gpu else 1

    def work() -> int:
        for number in range(steps):
            train_step.step(batch, 0.5, torch.Generator().manual_seed(number))
        if machine.is_gpu:
            torch.cuda.synchronize(machine.device)
        return steps * count

    return work


def make_batch(count: int, size: int, device: str) -> Batch:
    """Return random images with a square mask."""
    draws = torch.Generator().manual_seed(0)
    mask = torch.zeros(count, size, size)
    mask[:, size // 4 : -size // 4, size // 4 : -size // 4] = 1
    return Batch(
        image=torch.randn(count, 3, size, size, generator=draws).to(device),
        label=torch.randint(0, CLASSES, (count,), generator=draws).to(device),
        mask=mask.to(device),
        annotated=torch.ones(count, dtype=torch.bool, device=device),
        group=torch.zeros(count, dtype=torch.int64, device=device),
        index=torch.arange(count, device=device),
    )


def can_run(name: str, works: dict[str, Work], bench: Bench) -> bool:
    """Take a contender's first step; note it if memory or a compiler fails."""
    click.echo(f"first step: {name}")
    try:
        works[name]()
    except (RuntimeError, MemoryError) as error:
        first = f"{type(error).__name__}: {error}".splitlines()[0]
        bench.note(f"{name} can't be run here: {first}")
        del works[name]
        return False
    return True


def peak_bytes(work: Work, device: str) -> int:
    """Return the most memory that a step adds to what is held before it.

    On CUDA by the allocator's own count, on a CPU by the profiler's record of every
    allocation (workspaces inside oneDNN are in neither).
    """
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - held
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    events = record.profiler.kineto_results.events()
    memory = [one for one in events if one.name() == "[memory]"]
    now = peak = 0
    for one in sorted(memory, key=lambda one: one.start_ns()):
        now += one.nbytes()
        peak = max(peak, now)
    return peak


def add_memory(
    bench: Bench, contenders: Sequence[Contender], works: dict[str, Work]
) -> None:
    """Add every contender's peak memory and its ratio."""
    peaks = {name: peak_bytes(work, bench.device) for name, work in works.items()}
    for one in contenders:
        peak = peaks[one.name]
        bench.note(f"{one.name}: a step adds {peak / 2**20:.1f} MiB at most")
        if one.name != one.below and one.below in peaks:
            ratio = peak / peaks[one.below]
            asked = "<= 2.5" if one.name == REFF else ""
            title = f"memory of {one.name} / memory of {one.below}"
            bench.report.ratios.append(Ratio(title, ratio, ratio, ratio, asked))


@benchmark(
    "step",
    "Cost of a training step",
    device="cpu",
    rounds=15,
    seconds=0.5,
    clock=True,
)
@click.option("--backbone", type=click.Choice(list(BACKBONES)), default="resnet_small")
@click.option("--batch-size", type=click.IntRange(2), default=64)
@click.option("--image-size", type=click.IntRange(28), default=32)
@click.option("--threads", type=COUNT, default=None, help="On a CPU.")
@click.option(
    "--precision", type=click.Choice(["float32", "bfloat16", "both"]), default="both"
)
@click.option("--compile", "compiled", is_flag=True, help="Compiled steps, too.")
@click.option("--published", is_flag=True, help="ReFF and the methods of others.")
def main(
    bench: Bench,
    backbone: str,
    batch_size: int,
    image_size: int,
    threads: int | None,
    precision: str,
    compiled: bool,
    published: bool,
) -> None:
    """Compare the steps in turns, and write the report."""
    threads, device = threads or torch.get_num_threads(), bench.device
    place = find_context(device)
    bench.report.settings |= {
        "threads": str(threads),
        "device": place.describe() if place.is_gpu else device,
        "net": f"{backbone}, batch {batch_size}, {image_size} px, {CLASSES} classes",
    }
    chosen = find_contenders(precision, compiled=compiled, published=published)
    with limited(threads, 0, place.device, search=True):
        batch = make_batch(batch_size, image_size, device)
        works = {
            one.name: make_work(one, backbone, batch, image_size, device)
            for one in chosen
        }
        chosen = [one for one in chosen if can_run(one.name, works, bench)]
        bench.time_works(works, cores=1 if place.is_gpu else threads)
        for one in chosen:
            if one.name != one.below:
                bench.compare(one.name, one.below, one.asked)
        mark = ", bfloat16" if precision == "bfloat16" else ""
        for name in (name for name in METHODS if name.startswith("ReFF, ")):
            bench.compare(REFF + mark, f"{name}{mark}")
        add_memory(bench, chosen, works)


if __name__ == "__main__":
    main()
