"""The frame of a benchmark: its command line, rounds in turns, its report."""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeAlias

import click

from benchmarks.case import Case
from benchmarks.common import (
    ROOT,
    Clock,
    Lap,
    Ratio,
    Report,
    describe_machine,
    processor_seconds,
    stopwatch,
    work_folder,
    write_report,
)
from texturedmnist.common.cli import join_options

Command: TypeAlias = Callable[..., Any]
COUNT = click.IntRange(1)
PATH = click.Path(path_type=Path)
PRESENT = click.Path(exists=True, file_okay=False, path_type=Path)
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": processor_seconds}
SHARED = (
    "Others worked on the machine: times are the processor's, summed over processes, "
    "where no more is said."
)
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
FOLDER = click.option("--folder", type=PRESENT, help="[beside the repo]")


@dataclass(slots=True)
class Bench:
    """A benchmark that is running: what was asked for, and what it has found.

    Attributes:
        report: all that it has found.
        case: the samples' sources.
        folder: new, removed in the end; the repository where none is needed.
        out: the report's path without suffix.
        rounds: passes of each contender.
        least: seconds of a round at the least.
        clock: returns seconds.
        device: of torch.
    """

    report: Report
    case: Case
    folder: Path
    out: Path
    rounds: int
    least: float
    clock: Clock
    device: str

    def compete(self, contenders: Mapping[str, Callable[[], Lap]]) -> None:
        """Time the contenders A B C A B C ..., so that a slow minute hits all."""
        laps: dict[str, list[Lap]] = {name: [] for name in contenders}
        for number in range(1, self.rounds + 1):
            for name, contender in contenders.items():
                os.sync()  # what was written before must not burden who comes next
                lap = contender()
                laps[name].append(lap)
                where = f"{number}/{self.rounds}"
                click.echo(f"{where}  {lap.rate:>10,.0f} /s/core  {name}")
        self.report.laps |= laps

    def time_works(
        self,
        works: Mapping[str, Callable[[], int]],
        *,
        cores: int = 1,
        least: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Time works that return their numbers of samples, in turns."""
        timed = partial(
            stopwatch,
            cores=cores,
            least=self.least if least is None else least,
            clock=clock or self.clock,
        )
        self.compete({name: partial(timed, work) for name, work in works.items()})

    def compare(self, above: str, below: str, asked: str = "") -> None:
        """Divide two contenders' seconds per sample, by medians and round by round.

        Nothing where one of them is absent.
        """
        laps = self.report.laps
        if not {above, below} <= laps.keys():
            return
        over, under = (
            [lap.seconds_per_sample for lap in laps[name]] for name in (above, below)
        )
        rounds = [a / b for a, b in zip(over, under, strict=True)]
        median = statistics.median(over) / statistics.median(under)
        name = f"time of {above} / time of {below}"
        ratio = Ratio(name, median, min(rounds), max(rounds), asked)
        self.report.ratios.append(ratio)

    def note(self, text: str) -> None:
        """Note a finding, and print it."""
        self.report.notes.append(text)
        click.echo(text)


def benchmark(
    name: str,
    title: str,
    *,
    notes: Sequence[str] = (),
    case: bool = False,
    backgrounds: bool = False,
    device: str | None = None,
    rounds: int | None = None,
    seconds: float | None = None,
    clock: bool = False,
    folder: bool = False,
) -> Callable[[Command], click.Command]:
    """Make a function of a `Bench` a command that writes OUT.json and OUT.md.

    Args:
        name: of the report in `benchmarks/results`, the default of --out.
        title: of the report.
        notes: of the report, from the start.
        case: it has options of sources.
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
        @wraps(command)
        def run(**given: Any) -> None:
            report = Report(title, notes=[*notes])
            where = work_folder(given.pop("folder")) if folder else nullcontext(ROOT)
            with where as work:
                bench = _open_bench(report, work, given)
                machine = describe_machine(work)
                command(bench, **given)
            report.settings |= machine
            write_report(report, bench.out)

        settings = {"show_default": True}
        return click.command(context_settings=settings)(join_options(*options)(run))

    return decorate


def _open_bench(report: Report, folder: Path, given: dict[str, Any]) -> Bench:
    """Take the shared options out of those that were given; note them.

    Raises:
        UsageError: of the sources none or two were given.
    """
    root, backgrounds = given.pop("data_root", None), given.pop("backgrounds", "")
    case = Case(root, backgrounds or "embedded", given.pop("cache_dir", None))
    if "embedded" in given:
        if given.pop("embedded") == (root is not None):
            raise click.UsageError("give either --data-root DIR or --embedded")
        report.settings["sources"] = str(case)
    rounds, clock = given.pop("rounds", None), given.pop("clock", None)
    if rounds:
        report.settings["rounds"] = str(rounds)
    if clock:
        report.settings["clock"] = f"{clock} time"
        report.notes += [SHARED] if clock == "processor" else []
    return Bench(
        report,
        case,
        folder,
        given.pop("out"),
        rounds or 1,
        given.pop("seconds", 0.0),
        CLOCKS[clock or "wall"],
        given.pop("device", "cpu"),
    )
