"""Maps over the same test images, a run in each row."""

from collections.abc import Sequence

from reff_bench.report.figures.drawing import Drawing, joined, nothing
from reff_bench.report.figures.examples import (
    Wanted,
    class_notes,
    image_line,
    map_line,
    pick_runs,
    seeds_in_words,
)
from reff_bench.report.figures.sheet import draw_sheet
from reff_bench.report.figures.study import Study
from reff_bench.report.figures.style import label_of, title_of
from reff_bench.report.figures.words import amount_in_words, setting_in_words
from reff_bench.report.words import selection_rule
from reff_bench.results import RunRecord

ATTENTION = {"abn", "abn_plain"}  # their explanation is their attention map
CAM = "Grad-CAM (ReLU, logit of the label)"
READ = (
    "Each map is divided by its maximum and enlarged bilinearly, over the image in "
    "grey; light line: the true mask. Under a map: its EPG, the share of its energy "
    "inside the mask (of a uniform map the mask's area), and ✓, or ✗ and the class "
    "predicted instead."
)


def map_of(method: str) -> str:
    """Return the name of the map that explains a method."""
    return "attention" if method in ATTENTION else "stage4"


def kind_of(method: str) -> str:
    """Return what this map is, for a title."""
    return "attention map" if method in ATTENTION else "Grad-CAM of stage 4"


def kind_in_words(method: str) -> str:
    """Return how it was made, for a caption."""
    return "" if method in ATTENTION else f"{CAM} of stage 4."


def of_method(method: str, rows: Sequence[RunRecord]) -> Wanted:
    """Return a row of a figure that shows a method."""
    own = [row for row in rows if row.method == method]
    return Wanted(title_of(method), label_of(method), own, map_of(method))


def draw_maps(
    name: str,
    title: str,
    lead: str,
    wanted: Sequence[Wanted],
    study: Study,
    absent: tuple[str, ...] = (),
) -> Drawing:
    """Draw a figure of maps over the same test images.

    Args:
        name: of the figure.
        title: above it.
        lead: what its rows and maps are, first in the caption.
        wanted: its rows.
        study: the runs.
        absent: what else is missing.
    """
    picks, lacks = pick_runs(study, wanted)
    if not picks:
        return nothing(name, *lacks, *absent)
    arrays = picks[0].arrays
    about = [pick.row for pick in picks]
    caption = joined(
        [
            lead,
            READ,
            seeds_in_words(picks),
            amount_in_words(about),
            setting_in_words(about),
            selection_rule(study.plan.select, study.selection),
        ]
    )
    lines = [image_line(arrays), *map(map_line, picks)]
    figure = draw_sheet(title, class_notes(arrays), lines, heat=True)
    return Drawing(name, figure, caption, (*lacks, *absent))
