"""The runs of any number of folders and files in one table, pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple, Self, TypeAlias

from reff_bench.catalog.metrics import FRACTION, METRICS, known_metric
from reff_bench.grid.config import describe_config
from reff_bench.report.costs import relative_costs
from reff_bench.report.design import Design, describe_data, design_of, differences
from reff_bench.report.settings import choices
from reff_bench.report.statistics import Interval, Rank, mean_interval, mean_ranks
from reff_bench.results.folder import RunFolder, RunRecord

Sources: TypeAlias = Sequence[tuple[str, RunFolder]]  # with their names
RANKED = "test_accuracy"
SHOWN = (
    *(RANKED, "val_accuracy", "worst_group_accuracy", "background_gap"),
    *("flip_rate", "epg"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One method in one setting: only its seeds are pooled.

    Attributes:
        key: of the setting, 16 hexadecimal digits.
        data: of the data setting, likewise.
        runs: the finished ones, each once, by seed.
        planned: how many seeds there are to be.
        sources: where its runs are from.
        is_final: whether no run is left that could change which options were chosen.
        trainings: of the method with this data, supervision and network, whatever its
            options: what it took to find these.
        step_cost: time of a training image, in Baseline's; None where it isn't known.
        cost: time of all trainings for one seed, in Baseline's one; likewise.
        options: what differs from other lines of the method, in words.
        rank: among the lines of its data setting, by `RANKED`; None without the seeds
            that they share.
    """

    key: str
    data: str
    runs: tuple[RunRecord, ...]
    planned: int
    sources: tuple[str, ...]
    is_final: bool
    trainings: int
    step_cost: float | None
    cost: float | None
    options: str = ""
    rank: Rank | None = None

    @property
    def first(self) -> RunRecord:
        """The run of the lowest seed: the others differ in the seed alone."""
        return self.runs[0]

    def values(self, name: str) -> dict[int, float]:
        """Return a metric by seed, where it is known."""
        known = (run for run in self.runs if name in run.metrics)
        return {run.seed: run.metrics[name] for run in known}

    def mean(self, name: str) -> float | None:
        """Return a metric's mean over the seeds that have it."""
        values = self.values(name)
        return fmean(values.values()) if values else None

    def interval(self, name: str) -> Interval | None:
        """Return the 95 % t-interval of that mean; None below two seeds."""
        return mean_interval([*self.values(name).values()])


@dataclass(frozen=True, slots=True)
class Comparison:
    """The runs of some folders and files.

    Attributes:
        lines: those of one data setting together, the most accurate first.
        data: description of each data setting, by its key.
        seeds: that the ranks are over, likewise.
        unfinished: settings without a finished run.
        contradictions: runs that two sources tell differently, in words. The first
            source counts.
        tuning: folders and files whose trainings count as tuning alone.
    """

    lines: tuple[Line, ...]
    data: Mapping[str, str]
    seeds: Mapping[str, tuple[int, ...]]
    unfinished: int
    contradictions: tuple[str, ...]
    tuning: tuple[str, ...] = ()


def compare(
    folders: Sequence[RunFolder], tuning: Sequence[RunFolder] = ()
) -> Comparison:
    """Put the runs of folders side by side, a line for each method and setting.

    A run that several folders have counts once. Where a grid selects hyper-parameters,
    its chosen ones have a line.

    Args:
        folders: at least one.
        tuning: further ones whose runs have no line, since they served to find options
            on other data: they count among the trainings of their method and network.
    """
    every_one = (*folders, *tuning)
    names = source_names([one.source or one.out for one in every_one])
    designs = {row.id: design_of(row) for one in every_one for row in one.runs()}
    sources = [*zip(names, folders, strict=False)]
    tuned: dict[tuple[str, str], dict[str, int]] = {}
    for row in (row for one in tuning for row in one.runs() if is_trained(row)):
        tuned.setdefault(designs[row.id].tuned_as, {})[row.id] = row.seed
    every = [*_lines(sources, designs, tuned)]
    lines = [line for line in every if line.runs]
    first = {line.data: line.first.settings for line in lines}
    ranks = {
        data: mean_ranks({o.key: o.values(RANKED) for o in lines if o.data == data})
        for data in first
    }
    options = differences([designs[line.first.id] for line in lines])
    ranked = [
        replace(line, options=words, rank=ranks[line.data].by_key.get(line.key))
        for line, words in zip(lines, options, strict=True)
    ]
    order = [*first]
    ranked.sort(key=lambda o: (order.index(o.data), -(o.mean(RANKED) or 0.0)))
    return Comparison(
        tuple(ranked),
        {data: describe_data(run) for data, run in first.items()},
        {data: found.seeds for data, found in ranks.items()},
        len(every) - len(lines),
        tuple(_contradictions(sources)),
        tuple(names[len(folders) :]),
    )


def source_names(paths: Sequence[Path]) -> list[str]:
    """Return the end of each path, as long as it takes to tell it from the others."""
    parts = [path.absolute().parts for path in paths]
    ends = Counter(one[-n:] for one in {*parts} for n in range(1, len(one) + 1))
    lengths = (next(n for n in range(1, 99) if ends[one[-n:]] == 1) for one in parts)
    return ["/".join(one[-n:]) for one, n in zip(parts, lengths, strict=True)]


def is_trained(row: RunRecord) -> bool:
    """Whether a training was spent on a run."""
    return row.status in ("done", "failed")


def _lines(
    sources: Sources,
    designs: Mapping[str, Design],
    tuned: Mapping[tuple[str, str], Mapping[str, int]],
) -> Iterator[Line]:
    """Yield a line for each design, finished or not."""
    found: dict[str, dict[str, RunRecord]] = {}
    late: set[tuple[str, ...]] = set()
    for _, folder in sources:
        choice = choices(folder.records, folder.plan.select)[0]
        late |= {designs[row.id].effort for row in choice.provisional}
        for row in choice.rows:
            runs = found.setdefault(designs[row.id].key, {})
            if row.id not in runs or runs[row.id].status != "done":
                runs[row.id] = row
    spent = [(name, _Spent.of(folder, designs)) for name, folder in sources]
    for runs in found.values():
        about = designs[next(iter(runs))]
        own = [(n, one) for n, one in spent if one.serves(runs, about.effort)]
        trained = {k: v for _, one in own for k, v in one.trained[about.effort].items()}
        steps, wholes = (
            [costs[about.effort] for costs in kind if about.effort in costs]
            for kind in ([one.steps for _, one in own], [one.wholes for _, one in own])
        )
        further = tuned.get(about.tuned_as, {})
        each = _per_seed(trained) + _per_seed(further)
        done = (row for row in runs.values() if row.status == "done")
        yield Line(
            key=about.key,
            data=about.data,
            runs=tuple(sorted(done, key=lambda row: row.seed)),
            planned=len(runs),
            sources=tuple(name for name, _ in own),
            is_final=about.effort not in late,
            trainings=len({*trained, *further}),
            step_cost=median(steps) if steps else None,
            cost=each * median(wholes) if wholes else None,
        )


def _per_seed(trained: Mapping[str, int]) -> float:
    return len(trained) / max(1, len({*trained.values()}))


class _Spent(NamedTuple):
    """What the trainings of one folder or file cost, by effort.

    Within one: a device's name is that of many machines.

    Attributes:
        trained: the seed of each training, by its id.
        steps: time of a training image, in Baseline's.
        wholes: time of a training, in Baseline's.
    """

    trained: Mapping[tuple[str, ...], Mapping[str, int]]
    steps: Mapping[tuple[str, ...], float]
    wholes: Mapping[tuple[str, ...], float]

    @classmethod
    def of(cls, folder: RunFolder, designs: Mapping[str, Design]) -> Self:
        def effort(row: RunRecord) -> tuple[str, ...]:
            return designs[row.id].effort

        rows = [row for row in folder.runs() if is_trained(row)]
        trained: dict[tuple[str, ...], dict[str, int]] = {}
        for row in rows:
            trained.setdefault(effort(row), {})[row.id] = row.seed
        wholes = relative_costs(rows, effort, lambda row: designs[row.id].data)
        return cls(trained, relative_costs(rows, effort), wholes)

    def serves(self, runs: Iterable[str], effort: tuple[str, ...]) -> bool:
        """Whether one of these runs was trained here."""
        return not self.trained.get(effort, {}).keys().isdisjoint(runs)


def _contradictions(sources: Sources) -> Iterator[str]:
    """Yield the finished runs of which two sources have other results."""
    known: dict[str, tuple[RunRecord, str]] = {}
    for name, folder in sources:
        for row in folder.runs():
            if row.status != "done":
                continue
            first, source = known.setdefault(row.id, (row, name))
            metric = next(_differing(first, row), None)
            if metric is not None:
                words = describe_config(row.settings, exact=True)
                results = (
                    f"{record.metrics[metric]:g} in {where}"
                    for record, where in ((first, source), (row, name))
                )
                yield f"the run {row.id} ({words}): {metric} {', '.join(results)}"


def _differing(one: RunRecord, other: RunRecord) -> Iterator[str]:
    """Yield the results that differ; times, memory and counts are none."""
    for name, value in one.metrics.items():
        is_result = name in METRICS or ":" in name
        is_other = other.metrics.get(name, value) != value
        if is_result and is_other and known_metric(name).unit == FRACTION:
            yield name
