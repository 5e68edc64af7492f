"""The pictures of the gallery, drawn when the site is built, from embedded sources."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from numpy.typing import NDArray

from reff_bench.report.figures.runs import RunSet
from reff_bench.report.figures.style import drawing_style, render
from reff_bench.report.figures.write import draw_figures
from reff_bench.results.folder import open_runs
from texturedmnist import Recipe, TexturedMNIST, environments

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "results" / "pilot" / "records.jsonl"
SIZE = 96
GAP = 3
SHADES = (0.0, 0.25, 0.5, 0.75, 1.0)
Image = NDArray[np.uint8]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pictures below `gallery/`."""
    for name, draw in PICTURES.items():
        uri = f"gallery/{name}.png"
        files.append(File.generated(config, uri, content=draw()))
    return files


def _recipe(bg: float, tex: float, digit_size: int | None = None) -> Recipe:
    return Recipe(
        bg=bg, tex=tex, train=400, val=0, test=0, seed=3, image_size=SIZE,
        digit_size=digit_size, digits="embedded", digit_textures="embedded",
        background_textures="embedded", embedded_instances=6,
    )  # fmt: skip


def _first_of_each_label(dataset: TexturedMNIST) -> list[int]:
    labels = dataset.targets.tolist()
    return [labels.index(label) for label in range(10)]


def samples() -> bytes:
    """Draw a sample of each digit, and its mask."""
    dataset = TexturedMNIST.from_recipe(_recipe(0.0, 0.0))
    images, masks, _ = dataset.read(_first_of_each_label(dataset))
    return _sheet({"image": images, "mask": 255 * masks})


def background_randomness() -> bytes:
    """Draw the same samples with more and more free backgrounds."""
    shown = environments([(bg, 0.0) for bg in SHADES], recipe=_recipe(0, 0))
    rows = _first_of_each_label(shown[0])
    names = [f"bg {bg}" for bg in SHADES]
    return _sheet({n: d.read(rows)[0] for n, d in zip(names, shown, strict=True)})


def digit_texture_randomness() -> bytes:
    """Draw the same samples with more and more free digit textures."""
    shown = environments([(0.0, tex) for tex in SHADES], recipe=_recipe(0, 0))
    rows = _first_of_each_label(shown[0])
    names = [f"tex {tex}" for tex in SHADES]
    return _sheet({n: d.read(rows)[0] for n, d in zip(names, shown, strict=True)})


def counterfactuals() -> bytes:
    """Draw samples whose background alone, or digit texture alone, is another one."""
    dataset = TexturedMNIST.from_recipe(_recipe(0.0, 0.0))
    rows = _first_of_each_label(dataset)
    images = {"sample": dataset.read(rows)[0]}
    for role, name in (
        ("background_texture", "other\nbackground"),
        ("digit_texture", "other\ndigit texture"),
    ):
        others = dataset.get_counterfactuals(rows, role)
        images[name] = np.stack([np.asarray(image) for image, _ in others])
    return _sheet(images)


def digit_sizes() -> bytes:
    """Draw smaller digits, which stand at random places."""
    images = {}
    for size in (96, 64, 48, 32):
        dataset = TexturedMNIST.from_recipe(_recipe(0.0, 0.0, size))
        images[f"{size} px"] = dataset.read(_first_of_each_label(dataset))[0]
    return _sheet(images)


def gap() -> bytes:
    """Draw the pilot's accuracies, with the training's backgrounds and without."""
    with drawing_style():
        figures = draw_figures([RunSet(open_runs(RECORDS))])
        canvas = next(figure.canvas for figure in figures if figure.name == "gap")
        assert canvas is not None
        return render(canvas, ["png"])[0]


PICTURES: Mapping[str, Callable[[], bytes]] = {
    "samples": samples,
    "background_randomness": background_randomness,
    "digit_texture_randomness": digit_texture_randomness,
    "counterfactuals": counterfactuals,
    "digit_sizes": digit_sizes,
    "gap": gap,
}


def _sheet(rows: Mapping[str, Sequence[Image] | Image]) -> bytes:
    """Draw rows of images, each with its name on the left.

    Args:
        rows: by name, (n, S, S, 3) or (n, S, S) uint8 in [0, 255].

    Returns:
        A PNG.
    """
    lines = [_line(images) for images in rows.values()]
    height, width, _ = lines[0].shape
    size = width / height + 1, 1.02 * len(rows)
    with mpl.rc_context({"font.size": 13, "savefig.facecolor": "white"}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.imshow(np.concatenate(lines))
        middles = height * (np.arange(len(rows)) + 0.5)
        axes.set(xticks=[], yticks=middles, yticklabels=[*rows])
        axes.tick_params(left=False)
        axes.spines[:].set_visible(False)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
    return file.getvalue()


def _line(images: Sequence[Image] | Image) -> Image:
    """Return images side by side with white around each: (S + 2G, n(S + 2G), 3)."""
    shown = np.stack([*images])
    if shown.ndim == 3:  # masks: gray
        shown = np.repeat(shown[..., None], 3, axis=3)
    around = (0, 0), (GAP, GAP), (GAP, GAP), (0, 0)
    return np.concatenate(np.pad(shown, around, constant_values=255), axis=1)
