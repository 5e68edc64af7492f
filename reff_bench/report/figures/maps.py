"""Figures of test images: the paper's Fig. 1 to 7, and maps that it doesn't show."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from reff_bench.catalog.datasets import DATASETS, dataset_title
from reff_bench.catalog.methods import known_method
from reff_bench.catalog.options import STAGES
from reff_bench.report.figures.examples import (
    Pick,
    Wanted,
    annotation_row,
    class_notes,
    image_row,
    map_row,
    pick_runs,
    seeds_in_words,
    truth_row,
)
from reff_bench.report.figures.figure import Figure, Row, make_tiles
from reff_bench.report.figures.runs import (
    Arrays,
    RunSet,
    budgets,
    caption_of,
    data_in_words,
    main_rows,
    methods_of,
    most_annotated,
    of_method,
    unit_in_words,
)
from reff_bench.report.figures.style import label_of, title_of
from reff_bench.report.figures.tiles import annotated_tile, image_tile, outlined
from reff_bench.report.words import show
from reff_bench.results.folder import RunRecord

# The datasets of Fig. 1.
PAPERS = [name for name, spec in DATASETS.items() if spec.rendered or spec.sizes]
BUDGETS = (1, 5, 10, 20, 50, "all")  # the paper's rows
BY_BUDGET = {"fig3": "reff", "fig4": "reff_l1", "fig5": "reff_l2", "fig6": "abn"}
BY_STAGE = {"fig3_stages": "reff", "fig4_stages": "reff_l1", "fig5_stages": "reff_l2"}
HALF_SIZE = ("baseline", "reff", "reff_l1", "reff_l2")
ATTENTION = {"abn", "abn_plain"}  # their explanation is their attention map
CAM = "Grad-CAM (ReLU, logit of the label)"
EVERY_METHOD = f"{CAM} of stage 4; of ABN its attention map."
READ = (
    "Each map is divided by its maximum and enlarged bilinearly, over the image in "
    "gray; light line: the true mask. Under a map: its EPG, the fraction of its energy "
    "inside the mask (of a uniform map the mask's area), and whether the prediction "
    "is right; if it isn't, what it says, where that is short."
)


def draw_one_image(runs: RunSet) -> Figure:
    """Draw one test image and every method's map of it in a row.

    It is the first of the example images that Baseline takes for another class, or the
    first of all.
    """
    rows = most_annotated(runs.main)
    picks, missing = pick_runs(runs, _of_methods(rows, methods_of(rows)))
    if not picks:
        return Figure("one_image", missing)
    n, why = _choose(picks)
    arrays = picks[0].arrays
    maps = [map_row(pick) for pick in picks]
    image = outlined(image_tile(arrays["image"][n]), arrays["mask"][n])
    tiles = [image, *(row.tiles[n] for row in maps)]
    notes = ["", *(row.notes[n] for row in maps)]
    heads = [class_notes(arrays)[n], *(pick.wanted.label for pick in picks)]
    title = "Where each network finds the evidence for the class"
    canvas = make_tiles(title, heads, [Row("", tiles, notes)], heat=True)
    caption = caption_of(
        *(why, EVERY_METHOD, READ, seeds_in_words(picks)),
        rows=[pick.row for pick in picks],
        runs=runs,
    )
    return Figure("one_image", missing, caption, canvas)


def _choose(picks: Sequence[Pick]) -> tuple[int, str]:
    """Return which example image is shown, and why it is that one."""
    for pick in picks:
        wrong = np.flatnonzero(pick.arrays["predicted"] != pick.arrays["label"])
        if pick.row.method == "baseline" and len(wrong):
            return int(wrong[0]), "The first example image that Baseline gets wrong."
    return 0, "The first example image."


def draw_datasets(every: Sequence[RunSet]) -> Figure:
    """Fig. 1: the example images of the first evaluated run on each dataset."""
    found = _first_of_each(every)
    absent = [dataset_title(name) for name in PAPERS if name not in found]
    missing = [f"no evaluated run on {title}" for title in absent]
    titled = {dataset_title(name): arrays for name, arrays in found.items()}
    bare = [title for title, arrays in titled.items() if not arrays["mask"].any()]
    missing += [f"{title}: its test images have no masks" for title in bare]
    if not found:
        return Figure("fig1", tuple(missing))
    rows = [row for title, arrays in titled.items() for row in _samples(title, arrays)]
    sizes = [f"{name} {len(arrays['image'][0])} px" for name, arrays in titled.items()]
    caption = (
        "Test images of different classes (validation images where the test has no "
        "annotations), and below each the region that its annotation calls relevant, "
        f"the rest darkened. As the networks see them: {', '.join(sizes)}."
    )
    canvas = make_tiles("Samples and annotations", (), rows)
    return Figure("fig1", tuple(missing), caption, canvas)


def _first_of_each(every: Sequence[RunSet]) -> dict[str, Arrays]:
    """Return the example images of each dataset that has any, in the paper's order."""
    found: dict[str, Arrays] = {}
    for runs in every:
        for row in main_rows(runs.rows):
            if row.status == "done" and row.settings.dataset not in found:
                arrays = runs.examples(row)
                if arrays is not None and len(arrays["image"]):
                    found[row.settings.dataset] = arrays
    order = [*PAPERS, *(name for name in found if name not in PAPERS)]
    return {name: found[name] for name in order if name in found}


def _samples(title: str, arrays: Arrays) -> list[Row]:
    images = [image_tile(image) for image in arrays["image"]]
    label, classes = title.replace(" ", "\n"), class_notes(arrays)
    if not arrays["mask"].any():
        return [Row(label, images, classes)]
    pairs = zip(arrays["image"], arrays["mask"], strict=True)
    masks = [annotated_tile(image, mask) for image, mask in pairs]
    return [Row(label, images), Row("mask", masks, classes)]


def draw_annotations(runs: RunSet) -> Figure:
    """Fig. 2: pseudo-annotations of the same test images for each budget."""
    rows = runs.main
    few = [row for row in rows if row.settings.annotations != "all"]
    few = [row for row in few if known_method(row.method).uses_masks]
    picks, missing = pick_runs(runs, _by_budget(few, "pseudo_mask"))
    missing += _unplanned(few, BUDGETS[:-1])
    if not picks:
        return Figure("fig2", missing)
    arrays = picks[0].arrays
    about = [pick.row for pick in picks]
    caption = (
        f"Rows: {unit_in_words(about)}, on which the pseudo-annotator (pix2pix) was "
        "trained; All: the true masks. Light line: the true mask; under a "
        "pseudo-annotation: its IoU, cut at one half. "
        f"{seeds_in_words(picks)} {data_in_words(about)}"
    )
    tiles = [image_row(arrays), *map(annotation_row, picks), truth_row(arrays)]
    title = "Pseudo-annotations of test images by annotation budget"
    canvas = make_tiles(title, class_notes(arrays), tiles)
    return Figure("fig2", missing, caption, canvas)


def draw_by_budget(runs: RunSet) -> Iterator[Figure]:
    """Fig. 3 to 6: a method's maps for each annotation budget."""
    rows = runs.main
    for name, method in BY_BUDGET.items():
        own = of_method(rows, method)
        if own:
            kind = "attention map" if method in ATTENTION else "Grad-CAM of stage 4"
            title = f"{title_of(method)}: {kind} by annotation budget"
            how = "" if method in ATTENTION else f"{CAM} of stage 4."
            lead = f"Rows: {unit_in_words(own)}. {how}".rstrip()
            wanted = _by_budget(own, map_of(method))
            yield _draw_maps(name, title, lead, wanted, runs, _unplanned(own, BUDGETS))
        else:
            yield Figure(name, (f"no run of {title_of(method)}",))


def draw_half_size(runs: RunSet) -> Figure:
    """Fig. 7: digits smaller than the image at random places, by method."""
    half = [row for row in runs.rows if row.settings.has_small_digits]
    rows = most_annotated(runs.first_setting(half))
    if not rows:
        return Figure("fig7", ("no run with digits smaller than the image",))
    title = "Smaller digits at random places: Grad-CAM of stage 4"
    lead = f"Rows: methods. {CAM} of stage 4."
    return _draw_maps("fig7", title, lead, _of_methods(rows, HALF_SIZE), runs)


def draw_methods(runs: RunSet) -> Figure:
    """Draw every method's maps, at its largest annotation budget."""
    rows = most_annotated(runs.main)
    if not rows:
        return Figure("methods", ("no run in the grid",))
    title = "Every method's explanation of the same test images"
    lead = f"Rows: methods. {EVERY_METHOD}"
    return _draw_maps("methods", title, lead, _of_methods(rows, methods_of(rows)), runs)


def draw_by_stage(runs: RunSet) -> Iterator[Figure]:
    """Draw a method's Grad-CAMs of every stage, at its largest annotation budget."""
    rows = most_annotated(runs.main)
    for name, method in BY_STAGE.items():
        own = of_method(rows, method)
        if own:
            words = {stage: stage.replace("stage", "stage ") for stage in STAGES}
            wanted = [Wanted(word, word, own, stage) for stage, word in words.items()]
            title = f"{title_of(method)}: Grad-CAM of every stage"
            yield _draw_maps(name, title, f"Rows: stages. {CAM}.", wanted, runs)
        else:
            yield Figure(name, (f"no run of {title_of(method)}",))


def map_of(method: str) -> str:
    """Return the name of the map that explains a method."""
    return "attention" if method in ATTENTION else "stage4"


def _of_methods(rows: Sequence[RunRecord], methods: Sequence[str]) -> list[Wanted]:
    """Return a row of a figure for each method."""
    return [
        Wanted(
            *(title_of(method), label_of(method)),
            of_method(rows, method),
            map_of(method),
        )
        for method in methods
    ]


def _by_budget(rows: Sequence[RunRecord], needs: str) -> list[Wanted]:
    """Return a row per budget that the grid has, whether the paper has it or not."""
    return [
        Wanted(
            *(f"annotations {show(budget)}", show(budget)),
            [row for row in rows if row.settings.annotations == budget],
            needs,
        )
        for budget in budgets(rows)
    ]


def _unplanned(rows: Sequence[RunRecord], planned: Sequence[Any]) -> tuple[str, ...]:
    """Say which of the paper's budgets the grid doesn't have."""
    absent = [show(budget) for budget in planned if budget not in budgets(rows)]
    return (f"no run with annotations {', '.join(absent)}",) if absent else ()


def _draw_maps(
    name: str,
    title: str,
    lead: str,
    wanted: Sequence[Wanted],
    runs: RunSet,
    absent: tuple[str, ...] = (),
) -> Figure:
    """Draw maps over the same test images, a run in each row; `lead`: the caption's."""
    picks, missing = pick_runs(runs, wanted)
    if not picks:
        return Figure(name, (*missing, *absent))
    arrays = picks[0].arrays
    about = [pick.row for pick in picks]
    caption = caption_of(lead, READ, seeds_in_words(picks), rows=about, runs=runs)
    rows = [image_row(arrays), *map(map_row, picks)]
    canvas = make_tiles(title, class_notes(arrays), rows, heat=True)
    return Figure(name, (*missing, *absent), caption, canvas)
