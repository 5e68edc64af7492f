"""What is known of a claim: quantities, findings, and the runs behind them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reff_bench.catalog.methods import known_method
from reff_bench.report.statistics import LEVEL, Paired, mean_interval, paired
from reff_bench.report.tables import describe_missing
from reff_bench.report.words import show
from reff_bench.results.folder import RunRecord

HOLDS = "holds"
FAILS = "does not hold"
OPEN = "inconclusive"


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number that a verdict rests on.

    Attributes:
        name: what it is, in words.
        value: a mean over seeds, as a fraction, or a correlation; None without runs.
        low: lower end of its t-interval; None where there is none.
        high: its upper end.
        level: of the interval.
        n: seeds behind it; of a correlation, its points.
        unit: `points` of a difference of fractions, `per cent` of a fraction, or empty.
        p: of the test of equivalence; else None.
        passes: whether it satisfies its part of the rule; None if it has none, or while
            runs are missing.
        missing: the runs that it lacks, in words.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    level: float | None
    n: int
    unit: str
    p: float | None = None
    passes: bool | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim under one setting, with the hyper-parameters of one selection.

    Attributes:
        grid: whose runs these are.
        selection: the metric that chose hyper-parameters; empty if none are tuned.
        setting: values of the fields that tell settings apart.
        verdict: `holds`, `does not hold` or `inconclusive` (runs are missing).
        summary: the result in a few words.
        quantities: the numbers.
        missing: what there has to be before there is a verdict, in words.
        found: whether the grid has any run for the claim.
    """

    grid: str
    selection: str
    setting: Mapping[str, Any]
    verdict: str
    summary: str
    quantities: tuple[Quantity, ...]
    missing: tuple[str, ...]
    found: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the paper.

    Attributes:
        name: `C1` ... `C7`.
        statement: the paper's [paper].
        rule: how it is decided [assumed].
        test: the statistics behind it.
        findings: the main one first: lowest `tex`, the grid's first selection.
    """

    name: str
    statement: str
    rule: str
    test: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """That of the main finding."""
        return self.findings[0].verdict


@dataclass(frozen=True, slots=True)
class Source:
    """A metric of the runs of one method, or of any, at one value of the axis."""

    metric: str
    method: str | None
    place: Any


@dataclass(frozen=True, slots=True)
class Evidence:
    """The runs of one setting and selection.

    Attributes:
        grid: whose they are.
        selection: the metric that chose their hyper-parameters.
        setting: values of the fields that tell settings apart.
        rows: one per run.
        axis: the field that places are values of.
        seeds: that a verdict needs at each place.
        unfinished: candidates of the selection that may still be chosen, in words.
    """

    grid: str
    selection: str
    setting: Mapping[str, Any]
    rows: tuple[RunRecord, ...]
    axis: str
    seeds: int
    unfinished: tuple[str, ...]

    def places(self, methods: Iterable[str]) -> list[Any]:
        """Return the places at which a method that uses masks was planned."""
        wanted = set(methods)
        found = {self._place(row) for row in self.rows if row.method in wanted}
        return sorted(found, key=lambda place: (place == "all", place))

    def series(self, source: Source) -> dict[int, float]:
        """Return seed -> value of the runs that have one."""
        return {
            row.seed: row.metrics[source.metric]
            for row in self._runs(source)
            if source.metric in row.metrics
        }

    def missing(self, *sources: Source) -> tuple[str, ...]:
        """Say what keeps each source from having enough seeds; empty if nothing."""
        words: dict[str, None] = {}
        for source in sources:
            known = self.series(source)
            if len(known) >= self.seeds:
                continue
            runs = {row.seed: row for row in self._runs(source)}
            words.update(
                (describe_missing(row, source.metric), None)
                for seed, row in runs.items()
                if seed not in known
            )
            if len(runs) < self.seeds:
                words[self._too_few(source, len(runs))] = None
        return tuple(words)

    def difference(self, name: str, a: Source, b: Source) -> Quantity:
        """Return a minus b, paired over seeds."""
        return self.compared(name, self.series(a), self.series(b), (a, b))

    def compared(
        self,
        name: str,
        a: Mapping[int, float],
        b: Mapping[int, float],
        sources: Iterable[Source],
    ) -> Quantity:
        """Return a minus b, paired over seeds, of series made from sources."""
        found = paired(a, b)
        return Quantity(
            *(name, found.mean, found.low, found.high, LEVEL, found.n, "points"),
            missing=self.missing_pairs(found, tuple(sources)),
        )

    def missing_pairs(
        self, found: Paired, sources: tuple[Source, ...]
    ) -> tuple[str, ...]:
        """Say which runs a paired difference lacks; empty if nothing."""
        words = self.missing(*sources)
        if words or found.n >= self.seeds:
            return words
        who = " and ".join(dict.fromkeys(self._words(source) for source in sources))
        return (f"{who}: {found.n} of {self.seeds} seeds in common",)

    def mean(self, name: str, source: Source) -> Quantity:
        """Return the mean of a source over its seeds."""
        values = list(self.series(source).values())
        low, high = mean_interval(values) or (None, None)
        mean = sum(values) / len(values) if values else None
        return Quantity(
            *(name, mean, low, high, LEVEL, len(values), "per cent"),
            missing=self.missing(source),
        )

    def _runs(self, source: Source) -> list[RunRecord]:
        """Return its runs; those of a method without masks are at every place."""
        return [
            row
            for row in self.rows
            if source.method in (None, row.method)
            and (self._place(row) == source.place or self._is_everywhere(row))
        ]

    def _place(self, row: RunRecord) -> Any:  # noqa: ANN401 (the value of any field)
        return row.settings.value(self.axis)

    def _is_everywhere(self, row: RunRecord) -> bool:
        masks = known_method(row.method).uses_masks
        return self.axis == "annotations" and not masks

    def _too_few(self, source: Source, planned: int) -> str:
        if not planned:
            return f"{self._words(source)}: not in the grid"
        return f"{self._words(source)}: the grid has {planned} of {self.seeds} seeds"

    def _words(self, source: Source) -> str:
        who = "any method" if source.method is None else show(source.method)
        return f"{who}, {self.axis} {show(source.place)}"
