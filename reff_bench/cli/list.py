"""The `list` command: what a grid can name."""

from collections.abc import Callable, Mapping

import click

from reff_bench.catalog.backbones import BACKBONES
from reff_bench.catalog.datasets import DATASETS
from reff_bench.catalog.find import installed
from reff_bench.catalog.methods import METHODS
from reff_bench.catalog.metrics import METRICS
from reff_bench.catalog.option import option_of
from texturedmnist.common.cli import echo
from texturedmnist.common.text import align


@click.command("list")
@click.argument(
    "kind",
    type=click.Choice(["methods", "backbones", "datasets", "metrics"]),
    required=False,
)
def list_names(kind: str | None) -> None:
    """Show what a grid can name: methods, backbones, datasets or metrics.

    Methods with what they are given beside images and labels, their options and
    defaults. Your own go by package.module:name; an
    installed package offers more by entry points (docs/grid.md).
    """
    for name, describe in _DESCRIBE.items():
        if kind in (None, name):
            points = sorted(installed(f"reff_bench.{name}").items())
            others = [f"{point}  (of {found.value})" for point, found in points]
            lines = [*describe(), *others]
            echo("\n".join([f"{name}:", *(f"  {line}" for line in lines), ""]))


def _methods() -> list[str]:
    heads = align(
        [
            (name, spec.title, f"[{spec.mark}]", spec.supervision)
            for name, spec in METHODS.items()
        ],
        "<<<<",
    )
    lines = []
    for head, spec in zip(heads, METHODS.values(), strict=True):
        options = [
            (name, _show(field.default), option_of(field, name).meaning)
            for name, field in spec.options.model_fields.items()
        ]
        own = align(options, "<<<") if options else []
        lines += [head, *(f"    {line}" for line in own)]
    return lines


def _backbones() -> list[str]:
    found = [(name, spec.weights) for name, spec in BACKBONES.items()]
    rows = [(name, f"weights: {weights}") for name, weights in found if weights]
    scratch = [(name, "from scratch") for name, weights in found if not weights]
    return align([*scratch, *rows, ("timm/NAME", "weights: imagenet")], "<<")


def _datasets() -> list[str]:
    rows = [
        (name, spec.title, ", ".join(spec.tasks)) for name, spec in DATASETS.items()
    ]
    return align(rows, "<<<")


def _metrics() -> list[str]:
    rows = [
        (name, spec.unit or "fraction", spec.better or "", spec.title)
        for name, spec in METRICS.items()
    ]
    return align(rows, "<<<<")


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


_DESCRIBE: Mapping[str, Callable[[], list[str]]] = {
    "methods": _methods,
    "backbones": _backbones,
    "datasets": _datasets,
    "metrics": _metrics,
}
