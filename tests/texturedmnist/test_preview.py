from pathlib import Path

import numpy as np
from PIL import Image

from tests.texturedmnist.conftest import Planner
from texturedmnist.generate import run_build
from texturedmnist.manifest import read_manifest
from texturedmnist.preview import (
    ALIGNED,
    CONFLICTING,
    GAP,
    HEAD,
    LINE,
    PER_DIGIT,
    TILE,
    draw_preview,
    write_preview,
)
from texturedmnist.shards import map_pixels, read_columns

SPLIT_WIDTH = (PER_DIGIT + 1) * (TILE + GAP) + GAP


def test_the_sheet_has_a_place_for_every_digit_and_split(finished: Path) -> None:
    with Image.open(finished / "preview.png") as sheet:
        height = HEAD + 10 * (TILE + 2 * LINE + GAP)
        assert sheet.size == (3 * SPLIT_WIDTH + GAP, height)
        assert sheet.mode == "RGB"


def test_each_row_shows_samples_of_its_digit_and_the_mask(finished: Path) -> None:
    manifest = read_manifest(finished)
    sheet = np.asarray(draw_preview(finished, manifest))
    images, masks = map_pixels(finished / "val-00000-of-00001.h5")
    labels = read_columns(finished, manifest, "val", ("label",))["label"]
    left = GAP + SPLIT_WIDTH
    for digit in range(10):
        top = HEAD + digit * (TILE + 2 * LINE + GAP)
        for number, k in enumerate(np.flatnonzero(labels == digit)[:PER_DIGIT]):
            x = left + number * (TILE + GAP)
            tile = sheet[top : top + TILE : 4, x : x + TILE : 4]
            assert np.array_equal(tile, images[k])
            if number == 0:
                x = left + PER_DIGIT * (TILE + GAP)
                tile = sheet[top : top + TILE : 4, x : x + TILE : 4, 0]
                assert np.array_equal(tile, 255 * masks[k])


def test_names_are_colored_by_alignment(plan: Planner, tmp_path: Path) -> None:
    out = tmp_path / "tm"
    manifest = run_build(plan(out, bg=0, tex=0, val=0, test=0))
    colors = set(map(tuple, np.asarray(draw_preview(out, manifest)).reshape(-1, 3)))
    assert ALIGNED in colors
    below = np.asarray(draw_preview(out, manifest))[HEAD:].reshape(-1, 3)
    assert CONFLICTING not in set(map(tuple, below.tolist()))


def test_it_is_the_same_from_compressed_shards(
    plan: Planner, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tm"
    run_build(plan(out, 7, "gzip"))
    sheet = (finished / "preview.png").read_bytes()
    assert (out / "preview.png").read_bytes() == sheet
    write_preview(finished, read_manifest(finished), tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == sheet
