"""The runs behind one finding: series over seeds, and which runs are missing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reff_bench.catalog.methods import known_method
from reff_bench.report.claims.model import Quantity
from reff_bench.report.statistics import LEVEL, Paired, mean_interval, paired
from reff_bench.report.tables import describe_missing
from reff_bench.report.words import show
from reff_bench.results.folder import RunRecord


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
