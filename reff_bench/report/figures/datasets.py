"""Fig. 1: samples and annotations of the three datasets."""

from collections.abc import Iterable, Sequence

from reff_bench.catalog import DATASETS, dataset_title
from reff_bench.report.figures.drawing import Drawing, joined, nothing
from reff_bench.report.figures.examples import class_notes
from reff_bench.report.figures.sheet import Line, draw_sheet
from reff_bench.report.figures.study import Arrays, Study, main_rows
from reff_bench.report.figures.tiles import annotated_tile, image_tile

NAME = "fig1"
PAPER = [name for name, spec in DATASETS.items() if spec.rendered or spec.sizes]


def draw_datasets(studies: Sequence[Study]) -> Drawing:
    """Draw the example images of the first evaluated run on each dataset.

    Args:
        studies: the folder of runs, then the further ones.
    """
    found = _find(studies)
    lacks = [f"no evaluated run on {dataset_title(d)}" for d in PAPER if d not in found]
    bare = [name for name, arrays in found.items() if not arrays["mask"].any()]
    lacks += [f"{dataset_title(name)}: its test images have no masks" for name in bare]
    if not found:
        return nothing(NAME, *lacks)
    lines = [
        line for name in found for line in _lines(dataset_title(name), found[name])
    ]
    sizes = [
        f"{dataset_title(name)} {len(found[name]['image'][0])} px" for name in found
    ]
    caption = joined(
        [
            "Test images of different classes (validation images where the test has no "
            "annotations), and below each the region that its annotation calls "
            "relevant, the rest darkened.",
            f"As the nets see them: {', '.join(sizes)}.",
        ]
    )
    figure = draw_sheet("Samples and annotations", (), lines)
    return Drawing(NAME, figure, caption, tuple(lacks))


def _find(studies: Iterable[Study]) -> dict[str, Arrays]:
    """Return the example images of each dataset that has any, in the paper's order."""
    found: dict[str, Arrays] = {}
    for study in studies:
        for row in main_rows(study.rows):
            if row.status != "done" or row.settings.dataset in found:
                continue
            arrays = study.examples(row)
            if arrays is not None and len(arrays["image"]):
                found[row.settings.dataset] = arrays
    order = [*PAPER, *(name for name in found if name not in PAPER)]
    return {name: found[name] for name in order if name in found}


def _lines(title: str, arrays: Arrays) -> list[Line]:
    pairs = list(zip(arrays["image"], arrays["mask"], strict=True))
    images = [image_tile(image) for image, _ in pairs]
    masks = [annotated_tile(image, mask) for image, mask in pairs]
    label, classes = title.replace(" ", "\n"), class_notes(arrays)
    if not arrays["mask"].any():
        return [Line(label, images, classes)]
    return [Line(label, images), Line("mask", masks, classes)]
