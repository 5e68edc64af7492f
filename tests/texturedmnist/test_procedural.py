import ast
import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from texturedmnist.recipe import DTD_CLASSES
from texturedmnist.sources import procedural
from texturedmnist.sources.errors import SourceError
from texturedmnist.sources.procedural import CLASSES, PAINTERS, render_texture
from texturedmnist.sources.procedural.canvas import (
    SINE_SCALE,
    TURN,
    Canvas,
    RandomStream,
)
from texturedmnist.sources.procedural.cells import find_cells
from texturedmnist.sources.procedural.fields import noise, turns_of
from texturedmnist.sources.procedural.palette import make_palette

# What these operations give may depend on the CPU or on how numpy was built.
UNSTABLE = set(
    """sin cos tan arcsin arccos arctan arctan2 hypot exp exp2 expm1 log log2 log10
    log1p power float_power cbrt tanh sum mean std var dot vdot inner matmul einsum
    tensordot trapezoid cumsum cumprod prod interp linspace random fft linalg
    """.split()  # noqa: SIM905 (a list of names reads better as words)
)
# Sines are rounded with a margin, the others are taken of whole numbers.
CHECKED = {"math.sin", "math.prod", "blocks.sum"}
DIGEST = "b795b8148f9be26ea9a07a47663f1fe49fcfd0a159e3e7598aaffdf8cad6413f"


def corpus_digest() -> str:
    hashed = hashlib.sha256()
    for name in CLASSES:
        hashed.update(render_texture(name, 1, 36).tobytes())
    return hashed.hexdigest()


def test_bytes_are_the_same_everywhere_and_each_time() -> None:
    """After a wanted change of a painter: look at the textures, then pin the digest."""
    assert corpus_digest() == corpus_digest() == DIGEST


def lightness(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    gray: NDArray[np.float64] = pixels @ np.array([0.299, 0.587, 0.114])
    return gray


def test_there_is_one_painter_per_class() -> None:
    assert CLASSES == DTD_CLASSES == tuple(sorted(PAINTERS))
    assert len(set(PAINTERS.values())) == len(CLASSES) == 47


@pytest.mark.parametrize(
    ("size", "names"),
    [
        *((size, CLASSES) for size in (28, 37)),
        *((n, ("crystalline", "flecked", "woven")) for n in (111, 112, 113, 280, 700)),
    ],
)
def test_textures_are_rgb_squares_of_a_size(size: int, names: tuple[str, ...]) -> None:
    for name in names:
        pixels = render_texture(name, 0, size)
        assert pixels.shape == (size, size, 3)
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous


@pytest.mark.parametrize("name", CLASSES)
def test_instances_differ_in_shape_too(name: str) -> None:
    gray = [lightness(render_texture(name, k, 56)).ravel() for k in range(4)]
    alike: NDArray[np.float64] = np.asarray(np.corrcoef(gray))
    assert np.abs(alike[np.triu_indices(4, 1)]).max() < 0.9


def test_every_texture_has_contrast_and_means_differ() -> None:
    textures = (render_texture(name, k, 56) for name in CLASSES for k in range(4))
    gray = np.array([*map(lightness, textures)])
    assert gray.std((1, 2)).min() > 12
    assert gray.mean((1, 2)).std() > 25


def test_the_look_does_not_depend_on_the_size() -> None:
    for name in ("chequered", "cobwebbed", "spiralled"):
        large = lightness(render_texture(name, 5, 448)).reshape(56, 8, 56, 8)
        small = lightness(render_texture(name, 5, 56))
        alike = np.corrcoef(large.mean((1, 3)).ravel(), small.ravel())
        assert np.min(alike) > 0.9, name


def test_unknown_class_lists_the_known_ones() -> None:
    text = r"no embedded texture class 'plaid'; known: banded, blotchy"
    with pytest.raises(SourceError, match=text):
        render_texture("plaid", 0, 64)


def test_painters_call_nothing_that_depends_on_the_machine() -> None:
    for path in Path(procedural.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in UNSTABLE:
                assert ast.unparse(node) in CHECKED, path
            if isinstance(node, ast.BinOp):
                assert not isinstance(node.op, ast.MatMult), path


def test_sines_are_rounded_with_a_margin() -> None:
    exact = np.array([math.sin(math.tau / TURN * k) * SINE_SCALE for k in range(TURN)])
    to_next = np.abs(exact - np.floor(exact) - 0.5)
    assert to_next.min() > 1e-6


def test_turns_are_the_polar_angle() -> None:
    angle = np.linspace(-np.pi, np.pi, 1000)[1:-1]
    turns = turns_of(np.cos(angle) * 0.3, np.sin(angle) * 0.3)
    np.testing.assert_allclose(turns, angle / (2 * np.pi), atol=5e-4)


def test_noise_is_smooth_and_fills_its_range() -> None:
    values = noise(Canvas(200, RandomStream(7)), 8.0)
    assert np.abs(np.diff(values)).max() < 0.1
    assert 0.35 < values.mean() < 0.65
    assert values.std() > 0.15


def test_cells_are_nearest_to_their_own_site() -> None:
    cells = find_cells(Canvas(90, RandomStream(11)), 6.0)
    dx, dy = cells.offset()
    x, y = np.arange(90) / 15, np.arange(90)[:, None] / 15
    site_x, site_y = x - dx, y - dy
    _, first = np.unique(cells.label, return_index=True)
    to_x, to_y = (
        here[..., None] - site.ravel()[first]
        for here, site in ((x, site_x), (y, site_y))
    )
    nearest = np.hypot(to_x, to_y).min(axis=-1)[20:70, 20:70]
    np.testing.assert_allclose(np.hypot(dx, dy), cells.nearest, atol=1e-9)
    np.testing.assert_allclose(cells.nearest[20:70, 20:70], nearest, atol=1e-9)
    assert (cells.gap >= 0).all()


def test_palettes_rise_from_dark_to_light() -> None:
    for seed in range(20):
        gray = lightness(make_palette(RandomStream(seed)))
        assert gray[-1] - gray[0] > 100
        assert np.diff(gray).min() > -1


def test_classes_can_be_told_apart_without_color() -> None:
    label = np.repeat(np.arange(len(CLASSES)), 15)
    described = np.array(
        [_describe(render_texture(name, k, 56)) for name in CLASSES for k in range(15)]
    )
    trained = np.tile(np.arange(15) < 12, len(CLASSES))
    trees = ExtraTreesClassifier(100, random_state=0)
    trees.fit(described[trained], label[trained])
    assert trees.score(described[~trained], label[~trained]) > 0.85


def _describe(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return local binary patterns (Ojala et al. 2002) at three radii, in px."""
    gray = lightness(pixels)
    gray = (gray - gray.mean()) / gray.std()
    parts = []
    for radius in (1, 2, 4):
        inner = gray[radius:-radius, radius:-radius]
        code = np.zeros(inner.shape, np.int64)
        for bit, (dy, dx) in enumerate(
            [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
        ):
            moved = gray[dy * radius :, dx * radius :][: len(inner), : len(inner)]
            code |= (moved > inner + 0.1).astype(np.int64) << bit
        parts.append(np.bincount(code.ravel(), minlength=256) / code.size)
    return np.concatenate(parts)
