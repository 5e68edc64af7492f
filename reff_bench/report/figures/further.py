"""What the paper lacks: every method side by side, every stage of a method."""

from collections.abc import Iterator, Sequence

from reff_bench.catalog import STAGES
from reff_bench.report.figures.drawing import Drawing, nothing
from reff_bench.report.figures.examples import Wanted
from reff_bench.report.figures.maps import CAM, draw_maps, of_method
from reff_bench.report.figures.study import (
    Study,
    main_rows,
    methods_of,
    most_annotated,
)
from reff_bench.report.figures.style import title_of
from reff_bench.results import RunRecord

BY_STAGE = {"fig3_stages": "reff", "fig4_stages": "reff_l1", "fig5_stages": "reff_l2"}


def draw_further_maps(study: Study) -> Iterator[Drawing]:
    """Yield them, at the largest amount of annotation of the first setting."""
    rows = most_annotated(study.first_setting(main_rows(study.rows)))
    yield draw_methods(rows, study)
    for name, method in BY_STAGE.items():
        yield draw_by_stage(name, method, rows, study)


def draw_methods(rows: Sequence[RunRecord], study: Study) -> Drawing:
    """Draw every method of the grid at its largest amount of annotation."""
    wanted = [of_method(name, rows) for name in methods_of(rows)]
    if not wanted:
        return nothing("methods", "no run in the grid")
    title = "Every method's explanation of the same test images"
    lead = f"Rows: methods. {CAM} of stage 4; of ABN its attention map."
    return draw_maps("methods", title, lead, wanted, study)


def draw_by_stage(
    name: str, method: str, rows: Sequence[RunRecord], study: Study
) -> Drawing:
    """Draw a method's Grad-CAMs of every stage at its largest amount of annotation."""
    own = [row for row in rows if row.method == method]
    if not own:
        return nothing(name, f"no run of {title_of(method)}")
    words = {stage: stage.replace("stage", "stage ") for stage in STAGES}
    wanted = [Wanted(word, word, own, stage) for stage, word in words.items()]
    title = f"{title_of(method)}: Grad-CAM of every stage"
    return draw_maps(name, title, f"Rows: stages. {CAM}.", wanted, study)
