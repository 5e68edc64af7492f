"""From a folder of runs to the files of its figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reff_bench.catalog.methods import distinct_titles
from reff_bench.report.comparison import Comparison, compare
from reff_bench.report.figures.bars import draw_gap, draw_worst_groups
from reff_bench.report.figures.cost import draw_cost
from reff_bench.report.figures.curves import draw_curves, draw_learning
from reff_bench.report.figures.figure import Figure
from reff_bench.report.figures.maps import (
    draw_annotations,
    draw_by_budget,
    draw_by_stage,
    draw_datasets,
    draw_half_size,
    draw_methods,
    draw_one_image,
)
from reff_bench.report.figures.runs import RunSet
from reff_bench.report.figures.style import drawing_style, render
from reff_bench.results.folder import RunFolder
from texturedmnist.common.files import write_atomically

FOLDER = "figures"
CAPTIONS = "captions.txt"
KINDS = ("png", "pdf")


@dataclass(frozen=True, slots=True)
class Figures:
    """What was drawn.

    Attributes:
        files: a PDF and a PNG of each figure, unless only one kind was asked for.
        missing: figures that couldn't be drawn or are partial, and what they miss:
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
    comparison: Comparison | None = None,
) -> Figures:
    """Draw all that the records allow, as `OUT/figures/<name>.pdf` and `.png`.

    The same records give the same files, to the byte. A figure that can't be drawn any
    more is removed.

    Args:
        runs: of a grid.
        others: further ones: Fig. 1 takes the datasets from them that the first doesn't
            have, the chart of costs all their methods.
        kinds: of `KINDS`; a PDF takes twice as long as a PNG.
        comparison: for the chart of costs; of all these folders if None.

    Raises:
        ResultsError: a file of example images is broken.
    """
    folder = runs.out / FOLDER
    written = Figures([], [], {})
    every = [*map(RunSet, (runs, *others))]
    methods = [config.method for one in (runs, *others) for config in one.plan.configs]
    with drawing_style(), distinct_titles(methods):
        for figure in draw_figures(every, comparison):
            written.missing.extend(f"{figure.name}: {one}" for one in figure.missing)
            written.files.extend(_write(folder, figure, kinds))
            if figure.canvas is not None:
                written.captions[figure.name] = figure.caption
    lines = [f"{name}: {caption}\n" for name, caption in written.captions.items()]
    write_atomically(folder / CAPTIONS, "\n".join(lines))
    return written


def draw_figures(
    every: Sequence[RunSet], comparison: Comparison | None = None
) -> Iterator[Figure]:
    """Yield every figure, drawn or not, of the first set; see `write_figures`."""
    runs = every[0]
    yield draw_gap(runs)
    yield draw_one_image(runs)
    yield draw_datasets(every)
    yield draw_annotations(runs)
    yield from draw_by_budget(runs)
    yield draw_half_size(runs)
    yield from draw_curves(runs)
    yield draw_worst_groups(runs)
    yield draw_cost(comparison or compare([one.folder for one in every]))
    yield draw_learning(runs)
    yield draw_methods(runs)
    yield from draw_by_stage(runs)


def _write(folder: Path, figure: Figure, kinds: Sequence[str]) -> list[Path]:
    if figure.canvas is None:
        for kind in KINDS:
            (folder / f"{figure.name}.{kind}").unlink(missing_ok=True)
        return []
    files = [folder / f"{figure.name}.{kind}" for kind in kinds]
    for path, content in zip(files, render(figure.canvas, kinds), strict=True):
        write_atomically(path, content)
    return files
