"""Official trees in small, made by code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from reff_bench.grid.config import RunConfig

PARTS = ("Training", "Validation", "Test_v2")
DIAGNOSES = ("1.0,0.0", "0.0,1.0", "0.0,0.0")
Dataset = Literal["isic2017", "pets"]
TASKS = {"isic2017": "three_classes", "pets": "breed"}


def tree_config(dataset: Dataset, root: Path, **fields: Any) -> RunConfig:
    """A run on a tree, on images of 32 px."""
    return RunConfig(
        dataset=dataset,
        root=str(root),
        method="baseline",
        backbone="resnet_small",
        **{"task": TASKS[dataset], "image_size": 32, **fields},
    )


def save_image(path: Path, size: tuple[int, int] = (40, 30), value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 20, 30)).save(path, "JPEG")


def save_mask(path: Path, size: tuple[int, int], inside: int, outside: int) -> None:
    """The left half is `inside`, the rest `outside`."""
    values = np.full((size[1], size[0]), outside, np.uint8)
    values[:, : size[0] // 2] = inside
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def make_isic(root: Path) -> Path:
    """Three images per split, with the quirks of the official files."""
    for number, part in enumerate(PARTS):
        names = [f"ISIC_{number}00000{k}" for k in range(3)]
        data = root / f"ISIC-2017_{part}_Data"
        for name in names:
            save_image(data / f"{name}.jpg")
            save_image(data / f"{name}_superpixels.png")
        lines = [f"{n},{d}" for n, d in zip(names, DIAGNOSES, strict=True)]
        table = root / f"ISIC-2017_{part}_Part3_GroundTruth.csv"
        table.write_text("\n".join(["image_id,melanoma,seborrheic_keratosis", *lines]))
        if part != "Test_v2":
            truth = root / f"ISIC-2017_{part}_Part1_GroundTruth"
            endings = ("_segmentation.png", "_Segmentation.png", "_segmentation.PNG")
            for name, ending in zip(names, endings, strict=True):
                save_mask(truth / f"{name}{ending}", (80, 60), 255, 0)
    return root


def make_pets(root: Path) -> Path:
    """Two breeds whose numbers have a gap; files that aren't what their name says."""
    lists: dict[str, list[str]] = {"trainval": [], "test": []}
    for part, count in (("trainval", 10), ("test", 4)):
        for k in range(count):
            breed, number, species = (("Sphynx", 34, 1), ("pug", 6, 2))[k % 2]
            name = f"{breed}_{part}_{k}"
            lists[part].append(f"{name} {number} {species} 1")
            save_image(root / "images" / f"{name}.jpg")
            trimap = root / "annotations" / "trimaps" / f"{name}.png"
            save_mask(trimap, (40, 30), 1, 2 + k % 2)
    for part, lines in lists.items():
        text = "\n".join(["#name class species breed", *lines, ""])
        (root / "annotations" / f"{part}.txt").write_text(text)
    disguise(root / "images")
    save_mask(root / "annotations/trimaps/Sphynx_trainval_0.png", (40, 30), 2, 3)
    return root


def disguise(images: Path) -> None:
    """Put PNG with alpha, palettes, GIF and gray into .jpg files."""
    clear = Image.new("RGBA", (40, 30), (90, 20, 30, 0))
    clear.save(images / "pug_trainval_1.jpg", "PNG")
    palette = Image.new("P", (40, 30), 1)
    palette.putpalette([0, 0, 0, 90, 20, 30])
    palette.save(images / "Sphynx_trainval_2.jpg", "PNG", transparency=b"\x00\x80")
    palette.save(images / "pug_trainval_3.jpg", "GIF")
    Image.new("L", (40, 30), 50).save(images / "Sphynx_trainval_4.jpg", "JPEG")


TREES: dict[Dataset, Callable[[Path], Path]] = {
    "isic2017": make_isic,
    "pets": make_pets,
}
