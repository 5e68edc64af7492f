"""What the shift does, at a glance: a chart of all methods, and one image's maps."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from reff_bench.report.figures.chart import (
    Legend,
    Shape,
    chance_handle,
    draw_chance,
    in_per_cent,
    make_chart,
)
from reff_bench.report.figures.drawing import Drawing, joined, nothing
from reff_bench.report.figures.examples import (
    Pick,
    class_notes,
    map_line,
    pick_runs,
    seeds_in_words,
)
from reff_bench.report.figures.maps import CAM, READ, of_method
from reff_bench.report.figures.sheet import Line, draw_sheet
from reff_bench.report.figures.study import (
    Study,
    main_rows,
    methods_of,
    most_annotated,
)
from reff_bench.report.figures.style import label_of, title_of
from reff_bench.report.figures.tiles import image_tile, outlined
from reff_bench.report.figures.words import amount_in_words, setting_in_words
from reff_bench.results import RunRecord

GAP, ONE_IMAGE = "gap", "one_image"
CLASSES = 10  # of Textured MNIST, the data that have a shift
BARS: Mapping[str, tuple[str, str]] = {  # value -> its colour, and what it is
    "val_accuracy": ("#A9C4DE", "background as in training (validation)"),
    "test_accuracy": ("#0B4F8A", "background says nothing (test)"),
}
WIDTH = 0.38  # of a bar


def draw_gap(study: Study) -> Drawing:
    """Draw every method's accuracy under the training's randomness and the test's."""
    rows = _main(study)
    if not rows or any(row.settings.test_bg is None for row in rows):
        return nothing(GAP, "no run whose test has another background randomness")
    done = [row for row in rows if "test_accuracy" in row.metrics]
    methods = methods_of(done)
    absent = [name for name in methods_of(rows) if name not in methods]
    lacks = tuple(f"no finished run of {title_of(name)}" for name in absent)
    if not done:
        return nothing(GAP, *lacks)
    if {row.settings.bg for row in done} == {row.settings.test_bg for row in done}:
        return nothing(GAP, "the test has the training's background randomness")
    caption = joined(
        [
            "Accuracy per sample on validation images, whose backgrounds are drawn as "
            "in training, and on test images, whose backgrounds say nothing about the "
            "label: what lies between is what a network owes to the background. Bars: "
            "means over the seeds; dots: each seed.",
            amount_in_words(done),
            setting_in_words(done),
        ]
    )
    handles = [Patch(color=color, label=what) for color, what in BARS.values()]
    legend = Legend([*handles, chance_handle()], columns=3)
    title = "Accuracy in per cent, with the training's backgrounds and without"
    figure, (axes,) = make_chart(title, legend, [""], Shape(1, 1.9, wide=True))
    _draw_bars(axes, methods, done)
    return Drawing(GAP, figure, caption, lacks)


def _main(study: Study) -> list[RunRecord]:
    return most_annotated(study.first_setting(main_rows(study.rows)))


def _draw_bars(axes: Axes, methods: Sequence[str], rows: Sequence[RunRecord]) -> None:
    for place, method in enumerate(methods):
        own = [row for row in rows if row.method == method]
        for number, (name, (color, _)) in enumerate(BARS.items()):
            values = [row.metrics[name] for row in own]
            x = place + WIDTH * (number - 0.5)
            axes.bar(x, fmean(values), 0.92 * WIDTH, color=color)
            mean = f"{100 * fmean(values):.0f}"
            axes.text(x, fmean(values) + 0.015, mean, ha="center", fontsize=7)
            if len(values) > 1:
                spread = np.linspace(-0.1, 0.1, len(values))
                axes.plot(x + spread, values, "o", color="#E69F00", markersize=2.2)
    draw_chance(axes, 1 / CLASSES)
    in_per_cent(axes)
    axes.set_ylim(0.0, 1.08)
    axes.set_xticks(range(len(methods)), [label_of(name) for name in methods])
    axes.set_xlim(-0.6, len(methods) - 0.4)
    axes.tick_params(axis="x", length=0)


def draw_one_image(study: Study) -> Drawing:
    """Draw one test image and every method's map of it in a row.

    It is the first of the example images that Baseline takes for another class, or the
    first of all.
    """
    rows = _main(study)
    wanted = [of_method(name, rows) for name in methods_of(rows)]
    picks, lacks = pick_runs(study, wanted)
    if not picks:
        return nothing(ONE_IMAGE, *lacks)
    at, why = _choose(picks)
    arrays = picks[0].arrays
    picture = outlined(image_tile(arrays["image"][at]), arrays["mask"][at])
    shown = [map_line(pick) for pick in picks]
    line = Line(
        "",
        [picture, *(one.tiles[at] for one in shown)],
        ["", *(one.notes[at] for one in shown)],
    )
    methods = [pick.row.method for pick in picks]
    heads = [class_notes(arrays)[at], *map(label_of, methods)]
    caption = joined(
        [
            f"{why} {CAM} of stage 4; of ABN its attention map.",
            READ,
            seeds_in_words(picks),
            setting_in_words([pick.row for pick in picks]),
        ]
    )
    title = "Where each network finds the evidence for the class"
    figure = draw_sheet(title, heads, [line], heat=True)
    return Drawing(ONE_IMAGE, figure, caption, lacks)


def _choose(picks: Sequence[Pick]) -> tuple[int, str]:
    """Return which example image is shown, and why it is that one."""
    plain: Any = [p.arrays for p in picks if p.row.method == "baseline"]
    wrong = (
        [*np.flatnonzero(plain[0]["predicted"] != plain[0]["label"])] if plain else []
    )
    if wrong:
        return int(wrong[0]), "The first example image that Baseline gets wrong."
    return 0, "The first example image."
