"""The command line that benchmarks share: `benchmark`."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias

import click

from benchmarks.clocks import CLOCKS
from benchmarks.common import ROOT
from texturedmnist.common.cli import join_options

Command: TypeAlias = Callable[..., Any]
COUNT = click.IntRange(1)
PATH = click.Path(path_type=Path)
CASE = (
    click.option("--data-root", type=PATH, help="MNIST and DTD."),
    click.option("--embedded", is_flag=True, help="Embedded sources instead."),
    click.option("--cache-dir", type=PATH, help="[user's cache]"),
)
BACKGROUNDS = click.option(
    "--background-textures",
    "backgrounds",
    type=click.Choice(["embedded", "dtd"]),
    default="embedded",
    help="dtd needs all of its 47 classes.",
)
CLOCK = click.option(
    "--clock",
    type=click.Choice(list(CLOCKS)),
    default="wall",
    help="processor: summed over all processes, for a machine where others are busy.",
)
FOLDER = click.option("--folder", type=PATH, help="[beside the repo]")


def benchmark(
    name: str,
    *,
    case: bool = False,
    backgrounds: bool = False,
    device: str | None = None,
    rounds: int | None = None,
    seconds: float | None = None,
    clock: bool = False,
    folder: bool = False,
) -> Callable[[Command], click.Command]:
    """Make a function a command that writes OUT.json and OUT.md.

    Args:
        name: of the report in `benchmarks/results`, the default of --out.
        case: it gets a `Case`, made of the options of sources.
        backgrounds: which those of the case are can be chosen.
        device: default of --device; no such option without.
        rounds: default of --rounds; no such option without.
        seconds: default of --seconds; no such option without.
        clock: it has --clock.
        folder: it has --folder, where it works.
    """
    path = f"benchmarks/results/{name}"
    defaults = {
        "device": (device, None, "cpu, cuda, cuda:1."),
        "rounds": (rounds, COUNT, None),
        "seconds": (seconds, float, "The least of a round."),
    }
    options = (
        *(CASE if case else ()),
        *((BACKGROUNDS,) if backgrounds else ()),
        *(
            click.option(f"--{name}", default=default, type=kind, help=meaning)
            for name, (default, kind, meaning) in defaults.items()
            if default is not None
        ),
        *((CLOCK,) if clock else ()),
        *((FOLDER,) if folder else ()),
        click.option("--out", type=PATH, default=ROOT / path, show_default=path),
    )

    def decorate(command: Command) -> click.Command:
        function = join_options(*options)(_with_case(command) if case else command)
        return click.command(context_settings={"show_default": True})(function)

    return decorate


def _with_case(command: Command) -> Command:
    """Let a function have a `Case` in place of the options that say which."""

    @wraps(command)
    def run(
        *,
        data_root: Path | None,
        embedded: bool,
        cache_dir: Path | None,
        backgrounds: str = "embedded",
        **others: object,
    ) -> None:
        # Workers import the benchmark's module: they shouldn't load torch.
        from benchmarks.case import Case

        if embedded == (data_root is not None):
            raise click.UsageError("give either --data-root DIR or --embedded")
        command(case=Case(data_root, backgrounds, cache_dir), **others)

    return run
