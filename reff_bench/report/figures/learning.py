"""Learning curves of each loss term."""

from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator

from reff_bench.report.figures.captions import caption_of, missing_methods
from reff_bench.report.figures.figure import (
    Figure,
    in_per_cent,
    make_chart,
    method_handles,
)
from reff_bench.report.figures.runs import RunSet, methods_of, of_method
from reff_bench.report.figures.style import looks
from reff_bench.results.folder import RunRecord

NAME = "learning"
LEFT_OUT = ("relevant_", "swapped")  # of the masks, not of the learning
EMPTY = "zero_maps_"
FRACTIONS = ("val_accuracy", EMPTY)
TITLES = {
    "loss": "sum that is minimized",
    "cross_entropy": "cross-entropy",
    "attention_cross_entropy": "cross-entropy, ABN's branch",
    "penalty": "penalty on the maps",
    "map": "map loss of ABN",
    "val_accuracy": "validation accuracy in %",
}
SPAN = 30.0  # a term that varies by more is drawn to a logarithmic scale


def draw_learning(runs: RunSet) -> Figure:
    """Draw every loss term of the runs with most annotations, by epoch."""
    rows = runs.main()
    trained = [row for row in rows if row.history.get("loss")]
    terms = _terms(trained)
    if not terms:
        return Figure(NAME, ("no run has a history yet",))
    caption = caption_of(
        "Means over each epoch and the seeds that are done, of each term before its "
        "weight; empty maps: the fraction of maps without any positive value.",
        rows=trained,
        runs=runs,
    )
    canvas, every = make_chart(
        "Learning curves of each loss term",
        method_handles(methods_of(trained)),
        [_name(term) for term in terms],
        columns=4,
        height=1.6,
    )
    for axes, term in zip(every, terms, strict=True):
        _draw_term(axes, term, trained)
    return Figure(NAME, missing_methods(rows, trained), caption, canvas)


def _name(term: str) -> str:
    if term.startswith(EMPTY):
        return f"% empty maps, {term.removeprefix(EMPTY)}".replace("stage", "stage ")
    return TITLES.get(term, term.replace("_", " "))


def _terms(rows: Sequence[RunRecord]) -> list[str]:
    """Return the names of what was noted, the loss first and fractions last."""
    found = {name for row in rows for name, values in row.history.items() if values}
    kept = [name for name in found if not name.startswith(LEFT_OUT)]
    first = [name for name in TITLES if name in kept]
    others = sorted(set(kept) - set(first))
    return sorted([*first, *others], key=lambda name: name.startswith(FRACTIONS))


def _draw_term(axes: Axes, term: str, rows: Sequence[RunRecord]) -> None:
    every: list[float] = []
    for method, look in looks(methods_of(rows)).items():
        means = _means(of_method(rows, method), term)
        every += means
        axes.plot(
            range(1, len(means) + 1),
            means,
            **look._asdict(),
            markersize=3.2,
            markevery=max(1, len(means) // 5),
        )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(True, axis="y")
    if term.startswith(FRACTIONS):
        in_per_cent(axes)
    elif min(every) > 0 and max(every) > SPAN * min(every):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")


def _means(rows: Sequence[RunRecord], name: str) -> list[float]:
    """Return the mean over the runs that have a history, by epoch."""
    histories = [row.history[name] for row in rows if row.history.get(name)]
    return [fmean(values) for values in zip(*histories, strict=True)]
