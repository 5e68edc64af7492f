"""Learning curves of each loss term."""

from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from reff_bench.report.figures.chart import (
    Legend,
    Shape,
    in_per_cent,
    make_chart,
    method_handles,
)
from reff_bench.report.figures.drawing import Drawing, joined, nothing
from reff_bench.report.figures.study import (
    Study,
    main_rows,
    methods_of,
    most_annotated,
)
from reff_bench.report.figures.style import looks, title_of
from reff_bench.report.figures.words import amount_in_words, setting_in_words
from reff_bench.report.words import selection_rule
from reff_bench.results import RunRecord

NAME = "learning"
LEFT_OUT = ("relevant_", "swapped")  # of the masks, not of the learning
EMPTY = "zero_maps_"
SHARES = ("val_accuracy", EMPTY)
TITLES = {
    "loss": "sum that is minimised",
    "cross_entropy": "cross-entropy",
    "attention_cross_entropy": "cross-entropy, ABN's branch",
    "penalty": "penalty on the maps",
    "map": "map loss of ABN",
    "val_accuracy": "validation accuracy in %",
}
SPAN = 30.0  # a term that varies by more is drawn to a logarithmic scale


def draw_learning(study: Study) -> Drawing:
    """Draw every loss term of the runs with most annotations, by epoch."""
    rows = most_annotated(study.first_setting(main_rows(study.rows)))
    trained = [row for row in rows if row.history.get("loss")]
    terms = _terms(trained)
    if not terms:
        return nothing(NAME, "no run has a history yet")
    methods = methods_of(trained)
    absent = [name for name in methods_of(rows) if name not in methods]
    lacks = tuple(f"no finished run of {title_of(name)}" for name in absent)
    caption = joined(
        [
            "Means over each epoch and the seeds that are done, of each term before "
            "its weight; empty maps: the share of maps without any positive value.",
            amount_in_words(trained),
            setting_in_words(trained),
            selection_rule(study.plan.select, study.selection),
        ]
    )
    title = "Learning curves of each loss term"
    legend = Legend(method_handles(methods))
    names = [_name(term) for term in terms]
    figure, every = make_chart(title, legend, names, Shape(4, 1.2))
    for axes, term in zip(every, terms, strict=True):
        _draw_term(axes, term, trained)
    return Drawing(NAME, figure, caption, lacks)


def _name(term: str) -> str:
    if term.startswith(EMPTY):
        return f"% empty maps, {term.removeprefix(EMPTY)}".replace("stage", "stage ")
    return TITLES.get(term, term.replace("_", " "))


def _terms(rows: Sequence[RunRecord]) -> list[str]:
    """Return the names of what was noted, the loss first and shares last."""
    found = {name for row in rows for name, values in row.history.items() if values}
    kept = [name for name in found if not name.startswith(LEFT_OUT)]
    first = [name for name in TITLES if name in kept]
    others = sorted(set(kept) - set(first))
    return sorted([*first, *others], key=lambda name: name.startswith(SHARES))


def _draw_term(axes: Axes, term: str, rows: Sequence[RunRecord]) -> None:
    every: list[float] = []
    for method, look in looks(methods_of(rows)).items():
        means = _means([row for row in rows if row.method == method], term)
        every += means
        axes.plot(
            range(1, len(means) + 1),
            means,
            color=look.color,
            linestyle=look.line,
            marker=look.marker,
            markersize=3.2,
            markevery=max(1, len(means) // 5),
        )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(True, axis="y")
    if term.startswith(SHARES):
        in_per_cent(axes)
    elif min(every) > 0 and max(every) > SPAN * min(every):
        axes.set_yscale("log")


def _means(rows: Sequence[RunRecord], name: str) -> list[float]:
    """Return the mean over the runs that have a history, by epoch."""
    histories = [row.history[name] for row in rows if row.history.get(name)]
    return [fmean(values) for values in zip(*histories, strict=True)]
