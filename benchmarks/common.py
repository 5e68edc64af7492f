"""What benchmarks find: passes, ratios, tables, the machine, the report of all."""

import json
import os
import platform
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
PACKAGES = ("numpy", "h5py", "pillow", "torch", "torchvision", "texturedmnist")
Clock = Callable[[], float]  # returns seconds


@dataclass(frozen=True, slots=True)
class Lap:
    """One timed pass.

    Attributes:
        seconds: of wall-clock time.
        samples: how many were made or read.
        cores: how many the work could use.
    """

    seconds: float
    samples: int
    cores: int = 1

    @property
    def seconds_per_sample(self) -> float:
        """Wall-clock seconds for each sample."""
        return self.seconds / self.samples

    @property
    def rate(self) -> float:
        """Samples a second and core."""
        return self.samples / self.seconds / self.cores


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quotient of medians and the range of the rounds' own quotients."""

    name: str
    median: float
    low: float
    high: float
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a benchmark's own shape, in words."""

    head: list[str]
    rows: list[list[str]]


@dataclass(slots=True)
class Report:
    """What a benchmark found.

    Attributes:
        title: its heading.
        settings: what was run, and on what.
        laps: the passes of each contender, one per round.
        ratios: between contenders.
        tables: of a benchmark's own shape.
        passes: what stands behind those tables, for the JSON alone.
        notes: further findings, one sentence each.
    """

    title: str
    settings: dict[str, str] = field(default_factory=dict)
    laps: dict[str, list[Lap]] = field(default_factory=dict)
    ratios: list[Ratio] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    passes: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def processor_seconds() -> float:
    """Return the processor's seconds of this process and of all that it has ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def stopwatch(
    work: Callable[[], int],
    *,
    cores: int = 1,
    least: float = 0.0,
    clock: Clock = time.perf_counter,
) -> Lap:
    """Time work that returns its number of samples, again until `least` seconds."""
    started, samples = clock(), 0
    while True:
        samples += work()
        seconds = clock() - started
        if seconds >= least:
            return Lap(seconds, samples, cores)


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and what it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def work_folder(parent: Path | None) -> Iterator[Path]:
    """Make a new folder, beside the repository by default; remove it in the end."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-", dir=parent or ROOT.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def describe_machine(folder: Path) -> dict[str, str]:
    """Name the machine, the disk of the folder and the versions."""
    cpu_lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.split(":")[1] for line in cpu_lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "CPU": (models or [platform.machine()])[0].strip(),
        "cores": str(count_cores()),
        "memory": f"{memory / 2**30:.1f} GiB",
        "disk": _describe_disk(folder),
        "system": platform.platform(),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout on a machine where nothing is installed
        return "not installed"


def _describe_disk(folder: Path) -> str:
    mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    fields = [line.split()[:3] for line in mounts]
    places = {Path(place): (device, kind) for device, place, kind in fields}
    whole = folder.resolve()
    place = next(path for path in (whole, *whole.parents) if path in places)
    device, kind = places[place]
    return f"{device} ({kind}), {shutil.disk_usage(folder).free / 1e9:.0f} GB free"


def write_report(report: Report, out: Path) -> None:
    """Write OUT.json with every pass and OUT.md, which is printed too."""
    report.settings["load after"] = " ".join(f"{x:.2f}" for x in os.getloadavg())
    text = markdown(report)
    out.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(asdict(report), indent=2)
    out.with_name(f"{out.name}.json").write_text(content + "\n", encoding="utf-8")
    out.with_name(f"{out.name}.md").write_text(text, encoding="utf-8")
    click.echo(f"\n{text}\nwrote {out}.json and {out}.md")


def markdown(report: Report) -> str:
    """Return the report as Markdown tables."""
    passes = [_contender_row(name, laps) for name, laps in report.laps.items()]
    ratios = [
        (r.name, f"{r.median:.2f}", f"{r.low:.2f} - {r.high:.2f}", r.asked)
        for r in report.ratios
    ]
    columns = ("what", "samples/s/core", "min - max", "ms a sample", "cores")
    parts = [
        f"# {report.title}\n",
        _table(columns, passes),
        _table(("ratio of medians", "value", "min - max", "asked"), ratios),
        *(_table(table.head, table.rows) for table in report.tables),
        "".join(f"- {note}\n" for note in report.notes),
        _table(("machine", ""), list(report.settings.items())),
    ]
    return "\n".join(part for part in parts if part)


def _contender_row(name: str, laps: Sequence[Lap]) -> tuple[str, ...]:
    rates = [lap.rate for lap in laps]
    milliseconds = 1e3 * statistics.median(lap.seconds_per_sample for lap in laps)
    return (
        name,
        _rate(statistics.median(rates)),
        f"{_rate(min(rates))} - {_rate(max(rates))}",
        f"{milliseconds:.3f}",
        str(laps[0].cores),
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
