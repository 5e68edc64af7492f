"""The runs of any number of folders and files in one table, pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple, TypeAlias

from reff_bench.catalog import METRICS, dataset_title, known_metric
from reff_bench.catalog.metrics import FRACTION
from reff_bench.grid import OPTIONS, RunConfig, preset_of
from reff_bench.report.choice import choices
from reff_bench.report.costs import step_costs, training_costs
from reff_bench.report.settings import NOT_SETTINGS
from reff_bench.report.statistics import Interval, Rank, mean_interval, mean_ranks
from reff_bench.report.tables import describe_run
from reff_bench.report.words import describe_supervision, show, weights_in_words
from reff_bench.results import RunFolder, RunRecord
from texturedmnist.common.digest import canonical_digest

Sources: TypeAlias = Sequence[tuple[str, RunFolder]]  # with their names
RANKED = "test_accuracy"
SHOWN = (
    *(RANKED, "val_accuracy", "worst_group_accuracy", "background_gap"),
    *("flip_rate", "epg"),
)
DATA = {
    "dataset",
    "data_identity",
    *(name for name, option in OPTIONS.items() if option.group == "data"),
}
# What has a column of its own; the annotations stand in that of the supervision.
ANNOTATOR = "annotator_"
SHOWN_APART = {"method", "annotations", "annotation_unit", "backbone", "weights"}


@dataclass(frozen=True, slots=True)
class Line:
    """One method in one setting: only its seeds are pooled.

    Attributes:
        key: of the setting, 16 hexadecimal digits.
        data: of the data setting, likewise.
        runs: the finished ones, each once, by seed.
        planned: how many seeds there are to be.
        options: what differs from other lines of the method, in words.
        sources: where its runs are from.
        is_final: whether no run is left that could change which options were chosen.
        trainings: of the method with this data, supervision and network, whatever its
            options: what it took to find these.
        step_cost: time of a training image, in Baseline's; None where it isn't known.
        cost: time of all trainings for one seed, in Baseline's one; likewise.
        rank: among the lines of its data setting, by `RANKED`; None without the seeds
            that they share.
    """

    key: str
    data: str
    runs: tuple[RunRecord, ...]
    planned: int
    options: str
    sources: tuple[str, ...]
    is_final: bool
    trainings: int
    step_cost: float | None
    cost: float | None
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
    """

    lines: tuple[Line, ...]
    data: Mapping[str, str]
    seeds: Mapping[str, tuple[int, ...]]
    unfinished: int
    contradictions: tuple[str, ...]


class _Setting(NamedTuple):
    """What a run is a run of, but for its seed.

    Attributes:
        key: of the line, 16 hexadecimal digits.
        data: of the data setting, likewise.
        effort: what trainings have in common that served to find one's options.
        fields: all that the result depends on.
    """

    key: str
    data: str
    effort: tuple[str, ...]
    fields: Mapping[str, Any]


def _setting(row: RunRecord) -> _Setting:
    fields = row.settings.canonical(uses_masks=row.uses_masks)
    del fields["seed"]
    data = _key({name: value for name, value in fields.items() if name in DATA})
    given, network = describe_supervision(row), network_of(row.settings)
    return _Setting(_key(fields), data, (data, row.method, given, network), fields)


def _key(fields: Mapping[str, Any]) -> str:
    return canonical_digest(fields)[:16]


def compare(folders: Sequence[RunFolder]) -> Comparison:
    """Put the runs of folders side by side, a line for each method and setting.

    A run that several folders have counts once. Where a grid selects hyper-parameters,
    its chosen ones have a line.

    Args:
        folders: at least one.
    """
    names = source_names([one.source or one.out for one in folders])
    settings = {row.id: _setting(row) for one in folders for row in one.runs()}
    sources = [*zip(names, folders, strict=True)]
    every = _lines(sources, settings)
    lines = [line for line in every if line.runs]
    first = {line.data: line.first.settings for line in lines}
    ranks = {
        data: mean_ranks({o.key: o.values(RANKED) for o in lines if o.data == data})
        for data in first
    }
    ranked = [replace(o, rank=ranks[o.data].by_key.get(o.key)) for o in lines]
    order = [*first]
    ranked.sort(key=lambda o: (order.index(o.data), -(o.mean(RANKED) or 0.0)))
    return Comparison(
        tuple(_named(ranked, settings)),
        {data: describe_data(run) for data, run in first.items()},
        {data: found.seeds for data, found in ranks.items()},
        len(every) - len(lines),
        tuple(_contradictions(sources)),
    )


def source_names(paths: Sequence[Path]) -> list[str]:
    """Return the end of each path, as long as it takes to tell them apart."""
    parts = [path.absolute().parts for path in paths]
    longest = max(map(len, parts))
    ends = (["/".join(one[-n:]) for one in parts] for n in range(1, longest + 1))
    distinct = len({*parts})
    return next(names for names in ends if len({*names}) == distinct)


def describe_data(run: RunConfig) -> str:
    """Return what a run is trained and tested on, in words."""
    fields = run.canonical()  # no folder's path is in it
    preset = preset_of(run)
    parts = [f"preset {preset}"] if preset else []
    parts.append(f"{dataset_title(run.dataset)} {run.image_size} px")
    if run.has_small_digits:
        parts.append(f"digits of {run.digit_size} px")
    for name in ("bg", "tex"):
        if name in fields:
            parts.append(f"{name} {fields[name]:g} (test {fields[f'test_{name}']:g})")
    further = ("task", "digits", "digit_textures", "background_textures")
    known = (n for n in (*further, "train", "val", "test") if n in fields)
    parts += [f"{name.replace('_', ' ')} {show(fields[name])}" for name in known]
    return ", ".join(parts)


def network_of(run: RunConfig) -> str:
    """Return a run's network and its first weights, in words."""
    (start,) = weights_in_words([run]) or ["ImageNet"]
    return f"{show(run.backbone)}, {start.removeprefix('none, ')}"


def _lines(sources: Sources, settings: Mapping[str, _Setting]) -> list[Line]:
    """Return a line for each setting, finished or not."""
    found: dict[str, dict[str, RunRecord]] = {}
    late: set[tuple[str, ...]] = set()
    spent: dict[tuple[str, ...], dict[str, dict[str, RunRecord]]] = {}
    for name, folder in sources:
        choice = choices(folder.records, folder.plan.select)[0]
        late |= {settings[row.id].effort for row in choice.provisional}
        for row in choice.rows:
            runs = found.setdefault(settings[row.id].key, {})
            if row.id not in runs or runs[row.id].status != "done":
                runs[row.id] = row
        for row in folder.runs():
            if row.status in ("done", "failed"):
                effort = spent.setdefault(settings[row.id].effort, {})
                effort.setdefault(name, {})[row.id] = row
    costs = [_costs(folder, settings) for _, folder in sources]
    lines = []
    for runs in found.values():
        about = settings[next(iter(runs))]
        trained = spent.get(about.effort, {})
        own = [n for n, rows in trained.items() if any(rows.get(i) for i in runs)]
        lines.append(
            _line(
                about,
                [*runs.values()],
                {name: trained[name] for name in own},
                costs,
                is_final=about.effort not in late,
            )
        )
    return lines


def _costs(
    folder: RunFolder, settings: Mapping[str, _Setting]
) -> tuple[dict[tuple[str, ...], float], ...]:
    """Return the cost of a step and of a training, by effort.

    Within one folder or file: a device's name is that of many machines.
    """
    done = [row for row in folder.runs() if row.status == "done"]
    return (
        step_costs(done, lambda row: settings[row.id].effort),
        training_costs(
            done,
            lambda row: settings[row.id].effort,
            lambda row: settings[row.id].data,
        ),
    )


def _line(
    about: _Setting,
    rows: Sequence[RunRecord],
    spent: Mapping[str, Mapping[str, RunRecord]],
    costs: Sequence[tuple[dict[tuple[str, ...], float], ...]],
    *,
    is_final: bool,
) -> Line:
    """Return a setting's line.

    Args:
        about: the setting.
        rows: its runs, finished or not.
        spent: the runs that were trained for it, by source.
        costs: of each source.
        is_final: as in `Line`.
    """
    done = sorted((r for r in rows if r.status == "done"), key=lambda row: row.seed)
    trained = {key: row for runs in spent.values() for key, row in runs.items()}
    each = len(trained) / max(1, len({row.seed for row in trained.values()}))
    step, whole = (
        median(known)
        if (known := [one[about.effort] for one in kind if about.effort in one])
        else None
        for kind in zip(*costs, strict=True)
    )
    return Line(
        key=about.key,
        data=about.data,
        runs=tuple(done),
        planned=len(rows),
        options="",
        sources=tuple(spent),
        is_final=is_final,
        trainings=len(trained),
        step_cost=step,
        cost=None if whole is None else each * whole,
    )


def _named(lines: Sequence[Line], settings: Mapping[str, _Setting]) -> Iterator[Line]:
    """Yield lines with what tells them apart from others of their method."""
    without = {*NOT_SETTINGS, *DATA, *SHOWN_APART, "code_identity"}
    varied: dict[tuple[str, str], set[str]] = {}
    abouts = [settings[line.first.id] for line in lines]
    names = {name for about in abouts for name in about.fields} - without
    for line, about in zip(lines, abouts, strict=True):
        for name in names:
            # Without pseudo-annotations there is no annotator: that is no other value.
            if name in about.fields or not name.startswith(ANNOTATOR):
                value = show(about.fields.get(name))
                varied.setdefault((line.first.method, name), set()).add(value)
    texts = [
        ", ".join(
            f"{name} {show(value)}"
            for name, value in about.fields.items()
            if len(varied.get((line.first.method, name), ())) > 1
        )
        for line, about in zip(lines, abouts, strict=True)
    ]
    keys = [(about.effort, text) for about, text in zip(abouts, texts, strict=True)]
    count = Counter(keys)
    for line, key in zip(lines, keys, strict=True):
        apart = [key[1]] if key[1] else []
        apart += [f"setting {line.key[:8]}"] if count[key] > 1 else []
        yield replace(line, options=", ".join(apart))


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
                yield (
                    f"the run {row.id} ({describe_run(row)}): {metric} "
                    f"{first.metrics[metric]:g} in {source}, "
                    f"{row.metrics[metric]:g} in {name}"
                )


def _differing(one: RunRecord, other: RunRecord) -> Iterator[str]:
    """Yield the results that differ; times, memory and counts are none."""
    for name, value in one.metrics.items():
        is_result = name in METRICS or ":" in name
        is_other = other.metrics.get(name, value) != value
        if is_result and is_other and known_metric(name).unit == FRACTION:
            yield name
