"""From a folder of runs to the files of its figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reff_bench.catalog import distinct_titles
from reff_bench.report.figures.bars import draw_worst_groups
from reff_bench.report.figures.curves import draw_curves
from reff_bench.report.figures.datasets import draw_datasets
from reff_bench.report.figures.drawing import Drawing
from reff_bench.report.figures.further import draw_further_maps
from reff_bench.report.figures.gap import draw_gap, draw_one_image
from reff_bench.report.figures.learning import draw_learning
from reff_bench.report.figures.paper import draw_paper_figures
from reff_bench.report.figures.study import Study
from reff_bench.report.figures.style import drawing_style, render
from reff_bench.results import RunFolder
from texturedmnist.common.files import write_atomically

FOLDER = "figures"
CAPTIONS = "captions.txt"
KINDS = ("pdf", "png")


@dataclass(frozen=True, slots=True)
class Figures:
    """What was drawn.

    Attributes:
        files: a PDF and a PNG of each figure, unless only one kind was asked for.
        missing: figures that couldn't be drawn or are partial, and what they lack:
            `fig4: no run of ReFF (L1)`.
        captions: by name of the figure, for those that were drawn, in their order;
            also written beside them, to `captions.txt`.
    """

    files: list[Path]
    missing: list[str]
    captions: dict[str, str]


def write_figures(
    runs: RunFolder,
    others: Sequence[RunFolder] = (),
    kinds: Sequence[str] = KINDS,
) -> Figures:
    """Draw all that the records allow, as `OUT/figures/<name>.pdf` and `.png`.

    The same records give the same files, to the byte. A figure that can't be drawn any
    more is removed.

    Args:
        runs: of a grid.
        others: further ones: Fig. 1 takes the datasets from them that the first doesn't
            have.
        kinds: of `KINDS`; a PDF takes twice as long as a PNG.

    Raises:
        ResultsError: a file of example images is broken.
    """
    out, studies = runs.out, [Study(runs), *map(Study, others)]
    figures = Figures([], [], {})
    methods = [cell.method for study in studies for cell in study.plan.cells]
    with drawing_style(), distinct_titles(methods):
        for drawing in draw_figures(studies):
            figures.missing.extend(f"{drawing.name}: {lack}" for lack in drawing.lacks)
            figures.files.extend(_write(out / FOLDER, drawing, kinds))
            if drawing.figure is not None:
                figures.captions[drawing.name] = drawing.caption
    lines = [f"{name}: {caption}\n" for name, caption in figures.captions.items()]
    write_atomically(out / FOLDER / CAPTIONS, "\n".join(lines))
    return figures


def draw_figures(studies: Sequence[Study]) -> Iterator[Drawing]:
    """Yield every figure, drawn or not.

    Args:
        studies: the folder of runs, then further ones, for Fig. 1.
    """
    study = studies[0]
    yield draw_gap(study)
    yield draw_one_image(study)
    yield draw_datasets(studies)
    yield from draw_paper_figures(study)
    yield from draw_curves(study)
    yield draw_worst_groups(study)
    yield draw_learning(study)
    yield from draw_further_maps(study)


def _write(folder: Path, drawing: Drawing, kinds: Sequence[str]) -> list[Path]:
    if drawing.figure is None:
        for kind in KINDS:
            (folder / f"{drawing.name}.{kind}").unlink(missing_ok=True)
        return []
    files = [folder / f"{drawing.name}.{kind}" for kind in kinds]
    for path in files:
        write_atomically(path, render(drawing.figure, path.suffix[1:]))
    return files
