"""A labeled contact sheet of a dataset."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from texturedmnist.common.files import write_atomically
from texturedmnist.manifest import Manifest
from texturedmnist.shards import open_entry, read_columns

PER_DIGIT = 3  # samples of each digit in each split
TILE, GAP, LINE, HEAD = 112, 8, 14, 58  # px
ALIGNED, CONFLICTING = (0, 90, 180), (213, 94, 0)  # apart for the color-blind too
INK, PAPER = (0, 0, 0), (255, 255, 255)
SPLIT_WIDTH = (PER_DIGIT + 1) * (TILE + GAP) + GAP

Columns = Mapping[str, NDArray[Any]]


def write_preview(folder: Path, manifest: Manifest, path: Path) -> None:
    """Draw the sheet of a dataset and write it as PNG, atomically."""
    buffer = io.BytesIO()
    draw_preview(folder, manifest).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def draw_preview(folder: Path, manifest: Manifest) -> Image.Image:
    """Draw samples of each digit and split, with a mask, class names and alignment.

    Returns:
        RGB: one row per digit; in each split `PER_DIGIT` samples and the first's mask.
    """
    splits = list(manifest.splits)
    width = len(splits) * SPLIT_WIDTH + GAP
    height = HEAD + 10 * (TILE + 2 * LINE + GAP)
    sheet = Image.new("RGB", (width, height), PAPER)
    _draw_legend(ImageDraw.Draw(sheet))
    for position, split in enumerate(splits):
        left = GAP + position * SPLIT_WIDTH
        _draw_split(sheet, left, folder, manifest, split)
    return sheet


def _draw_legend(draw: ImageDraw.ImageDraw) -> None:
    parts = (
        ("under each image: digit texture (above), background (below);  ", INK),
        ("assigned to the digit  ", ALIGNED),
        ("not tied", CONFLICTING),
    )
    x = GAP
    for text, color in parts:
        draw.text((x, GAP), text, color, _font())
        x += int(draw.textlength(text, _font()))


def _draw_split(
    sheet: Image.Image, left: int, folder: Path, manifest: Manifest, split: str
) -> None:
    draw = ImageDraw.Draw(sheet)
    bg, tex = manifest.randomness(split)
    title = f"{split}: {manifest.splits[split].count} samples, bg {bg:g}, tex {tex:g}"
    draw.text((left, HEAD - 2 * LINE), title, INK, _font())
    names = ("label", "digit_texture", "background_texture")
    flags = ("digit_aligned", "background_aligned")
    columns = read_columns(folder, manifest, split, (*names, *flags))
    chosen = [
        np.flatnonzero(columns["label"] == digit)[:PER_DIGIT].tolist()
        for digit in range(10)
    ]
    samples = _read_samples(folder, manifest, split, [i for one in chosen for i in one])
    for digit, indices in enumerate(chosen):
        top = HEAD + digit * (TILE + 2 * LINE + GAP)
        for place, index in enumerate(indices):
            image, mask = samples[index]
            x = left + place * (TILE + GAP)
            sheet.paste(_tile(image), (x, top))
            _draw_names(draw, (x, top + TILE), columns, index, manifest)
            if place == 0:
                x = left + PER_DIGIT * (TILE + GAP)
                sheet.paste(_tile(255 * mask), (x, top))
                draw.text((x, top + TILE), "mask of the first", INK, _font())


def _read_samples(
    folder: Path, manifest: Manifest, split: str, indices: Sequence[int]
) -> dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Return image and mask of some samples, by index; a shard is opened once."""
    found = {}
    for shard in manifest.shards_of(split):
        rows = [i - shard.start for i in indices if 0 <= i - shard.start < shard.count]
        if rows:
            with open_entry(folder, manifest, shard) as opened:
                for row in rows:
                    pair = opened.file["image"][row], opened.file["mask"][row]
                    found[shard.start + row] = pair
    return found


def _tile(pixels: NDArray[np.uint8]) -> Image.Image:
    enlarges = len(pixels) < TILE
    filter_ = Image.Resampling.NEAREST if enlarges else Image.Resampling.LANCZOS
    return Image.fromarray(pixels).convert("RGB").resize((TILE, TILE), filter_)


def _draw_names(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    columns: Columns,
    index: int,
    manifest: Manifest,
) -> None:
    for line, role in enumerate(("digit", "background")):
        classes = getattr(manifest, f"{role}_texture_classes")
        name = classes[columns[f"{role}_texture"][index]]
        color = ALIGNED if columns[f"{role}_aligned"][index] else CONFLICTING
        draw.text((corner[0], corner[1] + line * LINE), name, color, _font())


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(LINE - 2)
