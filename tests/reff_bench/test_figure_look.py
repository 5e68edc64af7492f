import io
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text
from matplotlib.transforms import BboxBase
from PIL import Image
from torch.nn import functional as F

from reff_bench.catalog.methods import METHODS
from reff_bench.report.figures import tiles
from reff_bench.report.figures.runs import RunSet
from reff_bench.report.figures.style import drawing_style, line_styles, render, title_of
from reff_bench.report.figures.write import draw_figures
from reff_bench.results.panels import write_panels
from tests.reff_bench.made_up_runs import study_configs, study_of

ALL = tuple(METHODS)
LONG = ["american_pit_bull_terrier", "staffordshire_bull_terrier", "pug", "samoyed"]


def test_no_text_is_cut_off_and_none_covers_another(tmp_path: Path) -> None:
    methods = (*ALL, "own.methods:a_method_of_mine")
    configs = study_configs(methods, (1, "all"), (0,))
    configs += study_configs(methods, ("all",), (0,), bg=0.5)
    study = study_of(tmp_path, configs)
    for row in study.rows:
        arrays = dict(study.examples(row) or {})
        names = np.array(LONG + [f"class {n}" for n in range(6)])
        write_panels(tmp_path / "cells" / row.id, {**arrays, "class_names": names})
    with drawing_style():
        for figure in draw_figures([RunSet(study.folder)]):
            if figure.canvas is not None:
                check_border(figure.name, figure.canvas)
                check_texts(figure.name, figure.canvas)


def check_texts(name: str, canvas: Canvas) -> None:
    """No text of a figure that was rendered overlaps another."""
    texts = texts_of(canvas)
    boxes = [text.get_window_extent() for text in texts]
    for number, (text, box) in enumerate(zip(texts, boxes, strict=True)):
        others = boxes[:number]
        assert not any(overlaps(box, one) for one in others), (name, text.get_text())


def check_border(name: str, canvas: Canvas) -> None:
    """The outermost pixels are white: nothing goes on beyond them."""
    (content,) = render(canvas, ["png"])
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert side.min() == 255, name


def texts_of(canvas: Canvas) -> list[Text]:
    """Every text that is drawn: labels of ticks out of view aren't."""
    hidden = {
        label
        for axes in canvas.axes
        for axis, place in ((axes.xaxis, 0), (axes.yaxis, 1))
        for label in axis.get_ticklabels(which="both")
        if not axes.axison
        or not is_within(label.get_position()[place], list(axis.get_view_interval()))
    }
    found = [text for text in canvas.findobj(Text) if isinstance(text, Text)]
    shown = (text for text in found if text.get_visible() and text not in hidden)
    return [text for text in shown if text.get_text().strip()]


def is_within(value: float, ends: Collection[float]) -> bool:
    return min(ends) - 1e-9 <= value <= max(ends) + 1e-9


def overlaps(one: BboxBase, other: BboxBase) -> bool:
    """Whether two boxes share more than a pixel's border."""
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    along = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(across > 1 and along > 1)


def test_every_method_has_a_look_of_its_own_and_ours_is_marked() -> None:
    own = ["a.b:first", "a.b:second", "a.b:third"]
    found = line_styles([*ALL, *own])
    assert len(set(found.values())) == len(ALL) + len(own)
    assert line_styles(["abn"])["abn"] == found["abn"]
    assert (title_of("reff_plus"), title_of("reff")) == ("ReFF+ (ours)", "ReFF")


@pytest.mark.parametrize("size", [28, 32, 48, 56, 64, 100, 112, 128])
def test_a_small_images_pixels_stay_even(size: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    tile = tiles.image_tile(image)
    times = len(tile) // size
    assert len(tile) == times * size
    assert tiles.tile_size(size) == len(tile)
    block = np.ones((times, times, 1), np.float32)
    assert np.array_equal(tile, np.kron(image / np.float32(255), block))


def test_a_large_image_becomes_smaller() -> None:
    tile = tiles.image_tile(np.full((224, 224, 3), 51, np.uint8))
    assert tile.shape == (tiles.TILE, tiles.TILE, 3)
    assert np.allclose(tile, 0.2)


@pytest.mark.parametrize("size", [28, 128])
def test_a_map_is_enlarged_as_torch_does_it(size: int) -> None:
    heat = np.random.default_rng(0).random((7, 7), np.float32)
    batch = torch.from_numpy(heat)[None, None]
    wanted = F.interpolate(batch, (size, size), mode="bilinear")[0, 0].numpy()
    assert np.allclose(tiles.enlarge(heat, size), wanted, atol=1e-6)


def test_the_energy_inside_has_its_known_answers() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4, 1:5] = 1
    assert tiles.energy_in(np.ones((2, 2)), mask) == pytest.approx(mask.mean())
    assert tiles.energy_in(mask, mask) == 1.0
    assert tiles.energy_in(np.zeros((2, 2)), mask) is None
    assert tiles.overlap(0.9 * mask, mask) == 1.0
    assert tiles.overlap(0.4 * mask, mask) == 0.0


def test_a_heat_map_depends_on_shares_of_its_maximum_only() -> None:
    image = np.full((64, 64, 3), 128, np.uint8)
    heat = np.random.default_rng(0).random((4, 4), np.float32)
    plain, strong, empty = (tiles.heat_tile(image, n * heat) for n in (1, 7, 0))
    assert np.allclose(plain, strong, atol=1e-2)
    assert np.ptp(empty) < 0.3  # no color at all


def test_an_outline_stays_on_the_masks_own_pixels() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 10:30] = 1
    tile = np.zeros((128, 128, 3), np.float32)
    drawn_on = tiles.outlined(tile, mask).max(axis=2) > 0
    inside = np.kron(mask, np.ones((2, 2), np.uint8)) == 1
    assert not (drawn_on & ~inside).any()
    assert drawn_on.sum() == 4 * 39
    assert np.array_equal(drawn_on[40], inside[40])
