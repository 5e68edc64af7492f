from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.texturedmnist.conftest import NAMES, Planner
from texturedmnist.common.progress import show_bytes
from texturedmnist.describe import (
    describe_assignment,
    describe_dataset,
    latex_assignment,
)
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
)
from texturedmnist.recipe import Assignment
from texturedmnist.shards import map_pixels, read_columns

SPLIT_WIDTH = (PER_DIGIT + 1) * (TILE + GAP) + GAP


def test_a_dataset_is_reported_in_full(finished: Path) -> None:
    manifest = read_manifest(finished)
    text = describe_dataset(finished, manifest)
    assert text.startswith(f"Textured MNIST in {finished}: 28 px, digits of 28 px; 4 ")
    rows = {line.split()[0]: line.split() for line in text.splitlines()[2:5]}
    for split, entry in manifest.splits.items():
        aligned = sum(entry.groups[str(group)] for group in range(1, 20, 2))
        assert rows[split][1] == str(entry.count)
        assert rows[split][4:] == [f"{aligned / entry.count:.3f}", entry.digest]
    assert rows["train"][2:4] == ["0.2", "0.5"]
    assert rows["test"][2:4] == ["1", "0.5"]
    assert "digits embedded, digit_textures folder" in text
    assert text.endswith(f"identity {manifest.identity}")


def test_the_ties_are_reported_in_text_and_latex(finished: Path) -> None:
    manifest = read_manifest(finished)
    text = describe_assignment(manifest).splitlines()
    assert len(text) == 11
    assert text[1].split() == ["0", NAMES[0], f"{NAMES[10]},", NAMES[20]]
    assert text[10].split() == ["9", NAMES[9], NAMES[19]]
    latex = latex_assignment(manifest)
    assert "\n0 & class\\_00 & class\\_10, class\\_20 \\\\\n" in latex
    assert latex.startswith("\\begin{tabular}{lll}\n\\toprule\n")
    assert latex.endswith("\\bottomrule\n\\end{tabular}")


def test_names_of_others_are_harmless_in_text_and_latex() -> None:
    names = ["50% & R_D", "b\\input{x}", "red\x1b[31m", *"defghij"]
    assignment = Assignment(
        digit_textures=tuple(names),
        background_textures=tuple((f"{name}_1",) for name in names),
    )
    latex = latex_assignment(assignment)
    assert "\n0 & 50\\% \\& R\\_D & 50\\% \\& R\\_D\\_1 \\\\\n" in latex
    assert "b\\textbackslash{}input\\{x\\}" in latex
    assert "\x1b" not in latex


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_234, "1.23 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (12_345_678, "12.3 MB"),
        (2_500_000_000, "2.50 GB"),
        (70_000_000_000_000, "70.0 TB"),
        (7 * 10**16, "70000 TB"),
    ],
)
def test_a_size_has_the_unit_that_fits(count: int, text: str) -> None:
    assert show_bytes(count) == text


def test_each_row_shows_samples_of_its_digit_and_the_mask(finished: Path) -> None:
    manifest = read_manifest(finished)
    with Image.open(finished / "preview.png") as file:
        sheet = np.asarray(file)
    height = HEAD + 10 * (TILE + 2 * LINE + GAP)
    assert sheet.shape == (height, 3 * SPLIT_WIDTH + GAP, 3)
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
    sheet = np.asarray(draw_preview(out, manifest))
    assert (sheet == ALIGNED).all(axis=-1).any()
    assert not (sheet[HEAD:] == CONFLICTING).all(axis=-1).any()
