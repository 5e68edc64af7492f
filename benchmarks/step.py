"""Cost of a training step: ReFF and ABN beside the same net's plain step.

python -m benchmarks.step --backbone resnet_small --image-size 32 --threads 1
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from benchmarks.common import (
    ROOT,
    Lap,
    Ratio,
    Report,
    compare,
    describe_machine,
    run_rounds,
    stopwatch,
    write_report,
)
from reff_bench.explain import grad_cam
from reff_bench.losses import attention_penalty, outside_penalty
from reff_bench.models import (
    BACKBONES,
    AttentionBranchNetwork,
    Output,
    build_backbone,
)

CLASSES = 10
BASELINE, REFF = "baseline", "ReFF, one call"
PER_LAYER, ABN = "ReFF, a call per layer", "ABN"
ASKED = {REFF: "<= 2.3", PER_LAYER: "", ABN: ""}

Loss = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
Step = Callable[[], int]


def baseline(model: nn.Module, images: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Cross entropy alone."""
    output: Output = model(images)
    return F.cross_entropy(output.logits, labels)


def reff(
    model: nn.Module, images: Tensor, labels: Tensor, mask: Tensor, *, calls: bool
) -> Tensor:
    """Cross entropy and ReFF's penalty over four stages, by one call or by four."""
    output: Output = model(images)
    stages = list(output.stages.values())
    groups = [[stage] for stage in stages] if calls else [stages]
    maps = [
        one
        for group in groups
        for one in grad_cam(output.logits, labels, group, create_graph=True)
    ]
    return F.cross_entropy(output.logits, labels) + outside_penalty(maps, mask)


def attention(model: nn.Module, images: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """ABN's two cross entropies and its map loss."""
    output: Output = model(images)
    assert output.attention is not None
    assert output.attention_logits is not None
    return (
        F.cross_entropy(output.logits, labels)
        + F.cross_entropy(output.attention_logits, labels)
        + attention_penalty(output.attention, mask)
    )


def make_step(
    loss: Loss, model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]
) -> Step:
    """Return a whole training step with Adam, as the benchmark trains."""
    device = batch[0].device
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)

    def step() -> int:
        optimizer.zero_grad()
        torch.autograd.backward(loss(model, *batch))
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return len(batch[0])

    return step


def make_steps(
    backbone: str, batch_size: int, size: int, device: str
) -> dict[str, Step]:
    """Return every contender's step, on the same images and the same net."""
    cuda = torch.device(device).type == "cuda"
    layout = torch.channels_last if cuda else torch.contiguous_format
    draws = torch.Generator().manual_seed(0)
    images = torch.randn(batch_size, 3, size, size, generator=draws)
    labels = torch.randint(0, CLASSES, (batch_size,), generator=draws)
    mask = torch.zeros(batch_size, size, size)
    mask[:, size // 4 : -size // 4, size // 4 : -size // 4] = 1
    batch = (
        images.to(device, memory_format=layout),
        labels.to(device),
        mask.to(device),
    )
    losses: dict[str, Loss] = {
        BASELINE: baseline,
        REFF: partial(reff, calls=False),
        PER_LAYER: partial(reff, calls=True),
        ABN: attention,
    }
    steps = {}
    for name, loss in losses.items():
        net: nn.Module = (
            AttentionBranchNetwork(backbone, CLASSES, seed=0)
            if name == ABN
            else build_backbone(backbone, CLASSES, seed=0)
        )
        net = net.to(device).to(memory_format=layout).train()
        steps[name] = make_step(loss, net, batch)
    return steps


def peak_bytes(step: Step, device: str) -> int:
    """Return the most memory that one step adds to what is held before it.

    On CUDA by the allocator's own count, on a CPU by the profiler's record of every
    allocation (workspaces inside oneDNN are in neither).
    """
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        step()
        return torch.cuda.max_memory_allocated(device) - held
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    events = record.profiler.kineto_results.events()
    memory = [one for one in events if one.name() == "[memory]"]
    now = peak = 0
    for one in sorted(memory, key=lambda one: one.start_ns()):
        now += one.nbytes()
        peak = max(peak, now)
    return peak


def add_memory(report: Report, steps: dict[str, Step], device: str) -> None:
    """Add every contender's peak memory and its ratio to the baseline's."""
    peaks = {name: peak_bytes(step, device) for name, step in steps.items()}
    for name, peak in peaks.items():
        report.notes.append(f"{name}: a step adds {peak / 2**20:.1f} MiB at its peak")
        if name != BASELINE:
            ratio = peak / peaks[BASELINE]
            asked = "<= 2.5" if name == REFF else ""
            title = f"memory of {name} / memory of {BASELINE}"
            report.ratios.append(Ratio(title, ratio, ratio, ratio, asked))


@click.command()
@click.option("--backbone", type=click.Choice(list(BACKBONES)), default="resnet_small")
@click.option("--batch-size", type=click.IntRange(2), default=64, show_default=True)
@click.option("--image-size", type=click.IntRange(28), default=32, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True)
@click.option("--seconds", type=float, default=0.5, help="The least of a round.")
@click.option("--threads", type=click.IntRange(1), default=None, help="On a CPU.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1.")
@click.option("--out", type=Path, default=ROOT / "benchmarks" / "results" / "step")
def main(
    backbone: str,
    batch_size: int,
    image_size: int,
    rounds: int,
    seconds: float,
    threads: int | None,
    device: str,
    out: Path,
) -> None:
    """Compare the steps in turns, and write the report."""
    if threads is not None:
        torch.set_num_threads(threads)
    steps = make_steps(backbone, batch_size, image_size, device)
    machine = describe_machine(ROOT) | {
        "threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name(device) if "cuda" in device else device,
        "net": f"{backbone}, batch {batch_size}, {image_size} px, {CLASSES} classes",
    }
    cores = torch.get_num_threads() if device == "cpu" else 1
    report = Report("Cost of a training step", machine)
    for step in steps.values():
        step()
    add_memory(report, steps, device)
    contenders: dict[str, Callable[[], Lap]] = {
        name: partial(stopwatch, step, cores=cores, least=seconds)
        for name, step in steps.items()
    }
    report.laps = run_rounds(contenders, rounds)
    report.ratios[:0] = [
        compare(report.laps, name, BASELINE, asked) for name, asked in ASKED.items()
    ]
    report.ratios.append(compare(report.laps, REFF, PER_LAYER, "<= 0.75"))
    write_report(report, out)


if __name__ == "__main__":
    main()
