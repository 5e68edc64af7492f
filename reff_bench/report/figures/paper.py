"""The paper's figures 2 to 7."""

from collections.abc import Iterator, Sequence
from typing import Any

from reff_bench.catalog import known_method
from reff_bench.report.figures.drawing import Drawing, joined, nothing
from reff_bench.report.figures.examples import (
    Wanted,
    annotation_line,
    class_notes,
    image_line,
    pick_runs,
    seeds_in_words,
    truth_line,
)
from reff_bench.report.figures.maps import (
    CAM,
    draw_maps,
    kind_in_words,
    kind_of,
    map_of,
    of_method,
)
from reff_bench.report.figures.sheet import draw_sheet
from reff_bench.report.figures.study import (
    Study,
    amounts,
    is_half_size,
    main_rows,
    most_annotated,
)
from reff_bench.report.figures.style import title_of
from reff_bench.report.figures.words import data_in_words, unit_in_words
from reff_bench.report.words import show
from reff_bench.results import RunRecord

AMOUNTS = (1, 5, 10, 20, 50, "all")  # the paper's rows
BY_AMOUNT = {"fig3": "reff", "fig4": "reff_l1", "fig5": "reff_l2", "fig6": "abn"}
HALF_SIZE = ("baseline", "reff", "reff_l1", "reff_l2")


def draw_paper_figures(study: Study) -> Iterator[Drawing]:
    """Yield Fig. 2 to 7, each of the first setting of the grid that it can be about."""
    rows = study.first_setting(main_rows(study.rows))
    yield draw_annotations(rows, study)
    for name, method in BY_AMOUNT.items():
        yield draw_by_amount(name, method, rows, study)
    yield draw_half_size(study)


def draw_annotations(rows: Sequence[RunRecord], study: Study) -> Drawing:
    """Fig. 2: pseudo-annotations of the same test images for each amount."""
    few = [row for row in rows if row.settings.annotations != "all"]
    few = [row for row in few if known_method(row.method).uses_masks]
    planned = [amount for amount in AMOUNTS if amount != "all"]
    wanted = _by_amount(few, "pseudo_mask")
    picks, lacks = pick_runs(study, wanted)
    lacks += _unplanned(few, planned)
    if not picks:
        return nothing("fig2", *lacks)
    arrays = picks[0].arrays
    lines = [image_line(arrays), *map(annotation_line, picks), truth_line(arrays)]
    about = [pick.row for pick in picks]
    caption = joined(
        [
            f"Rows: {unit_in_words(about)}, on which the pseudo-annotator (pix2pix) "
            "was trained; All: the true masks. Light line: the true mask; under a "
            "pseudo-annotation: its IoU, cut at one half.",
            seeds_in_words(picks),
            data_in_words(about),
        ]
    )
    title = "Pseudo-annotations of test images by amount of annotation"
    figure = draw_sheet(title, class_notes(arrays), lines)
    return Drawing("fig2", figure, caption, lacks)


def draw_by_amount(
    name: str, method: str, rows: Sequence[RunRecord], study: Study
) -> Drawing:
    """Fig. 3 to 6: a method's maps for each amount of annotation."""
    own = [row for row in rows if row.method == method]
    if not own:
        return nothing(name, f"no run of {title_of(method)}")
    wanted = _by_amount(own, map_of(method))
    title = f"{title_of(method)}: {kind_of(method)} by amount of annotation"
    lead = f"Rows: {unit_in_words(own)}. {kind_in_words(method)}"
    return draw_maps(name, title, lead, wanted, study, _unplanned(own, AMOUNTS))


def draw_half_size(study: Study) -> Drawing:
    """Fig. 7: digits smaller than the image at random places, by method."""
    half = [row for row in study.rows if is_half_size(row)]
    rows = most_annotated(study.first_setting(half))
    if not rows:
        return nothing("fig7", "no run with digits smaller than the image")
    wanted = [of_method(name, rows) for name in HALF_SIZE]
    title = "Smaller digits at random places: Grad-CAM of stage 4"
    lead = f"Rows: methods. {CAM} of stage 4."
    return draw_maps("fig7", title, lead, wanted, study)


def _by_amount(rows: Sequence[RunRecord], needs: str) -> list[Wanted]:
    """Return a row per amount that the grid has, whether the paper has it or not."""
    return [
        Wanted(
            f"annotations {show(amount)}",
            show(amount),
            [row for row in rows if row.settings.annotations == amount],
            needs,
        )
        for amount in amounts(rows)
    ]


def _unplanned(rows: Sequence[RunRecord], planned: Sequence[Any]) -> tuple[str, ...]:
    """Say which of the paper's amounts the grid doesn't have."""
    absent = [show(amount) for amount in planned if amount not in amounts(rows)]
    return (f"no run with annotations {', '.join(absent)}",) if absent else ()
