"""Step times of a GPU that isn't at hand: counted operations over an assumed rate.

python -m benchmarks.flops grids/tab2.yaml --out assumed.json
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from reff_bench.cost import Kind, Pace, Paces, work_of, write_paces
from reff_bench.cost.kinds import TRAIN, describe_kind
from reff_bench.grid import Cell, expand, load_grid
from reff_bench.measure import PREPARE
from reff_bench.train import find_machine, limited

TERA = 1e12
IMAGES = 2  # counted at once; every count is proportional to them
NOTE = "[assumed: no GPU was at hand]"


def count_flops(lap: Callable[[], None]) -> int:
    """Return the floating point operations of convolutions and matrix products.

    A multiplication and an addition are two. What moves memory alone (BatchNorm, ReLU,
    the optimizer) isn't counted.
    """
    counter = _Counter()  # type: ignore[no-untyped-call]
    with counter:
        lap()
    flops: int = counter.flops
    return flops


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up torch's own formulas, over any order of derivative.

    torch's FlopCounterMode does the same and refuses a gradient with respect to the
    image, which the evaluation takes.
    """

    flops: int = 0

    def __torch_dispatch__(
        self,
        func: OpOverload[Any, Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (of any operation)
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=result))
        return result


def flops_of(kind: Kind, cell: Cell) -> float:
    """Return the operations of one of a kind: a step, or an image."""
    machine = find_machine("cpu", "float32")
    with limited(cell.threads, 0):
        prepared = PREPARE[kind.what](kind, cell, machine)
        count = min(IMAGES, prepared.most)
        return count_flops(prepared.lap(count)) / count * prepared.per_unit


def assume(flops: Mapping[Kind, float], rate: float, rate_float32: float) -> Paces:
    """Return the pace of each kind of work at an assumed rate.

    Args:
        flops: of each kind.
        rate: sustained TFLOP/s of the classifier's training, in mixed precision.
        rate_float32: of everything else: it runs in float32.
    """
    rates = {kind: rate if kind.what == TRAIN else rate_float32 for kind in flops}
    by_kind = {
        kind: Pace(count / rates[kind] / TERA, f"assumed at {rates[kind]:g} TFLOP/s")
        for kind, count in flops.items()
    }
    name = f"a GPU that sustains {rate:g} and {rate_float32:g} TFLOP/s {NOTE}"
    return Paces(name, "cuda", by_kind)


@click.command()
@click.argument("grids", nargs=-1, required=True, type=Path)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE")
@click.option("--rate", default=30.0, show_default=True, help="TFLOP/s, training.")
@click.option("--rate-float32", default=10.0, show_default=True, help="The rest.")
@click.option("--out", type=Path, required=True, help="File of step times to write.")
def main(
    grids: tuple[Path, ...],
    overrides: tuple[str, ...],
    rate: float,
    rate_float32: float,
    out: Path,
) -> None:
    """Count every kind of work of some grids; write times for --step-times."""
    cells = [cell for grid in grids for cell in expand(load_grid(grid, overrides))]
    work = work_of(cells)
    flops = {kind: flops_of(kind, cell) for kind, cell in work.items()}
    for kind, count in flops.items():
        click.echo(f"{count / 1e9:>12,.1f} GFLOP: {describe_kind(kind, flops)}")
    write_paces(out, assume(flops, rate, rate_float32))
    click.echo(f"wrote {out}")


if __name__ == "__main__":
    main()
