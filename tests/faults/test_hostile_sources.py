"""Hostile input of what makes data: one clear error each, soon, in little memory."""

import gzip
import io
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.faults.damage import bomb
from tests.texturedmnist.tree import idx, write_mnist
from texturedmnist.recipe import (
    DTD_CLASSES,
    Assignment,
    Recipe,
    RecipeError,
    load_recipe,
    resolve_assignment,
)
from texturedmnist.sources import SourceError, load_digits
from texturedmnist.sources.decode import decode_image

SHORT = settings(
    max_examples=40, deadline=20_000, suppress_health_check=list(HealthCheck)
)
LONG = settings(SHORT, max_examples=5_000)
BOTH = pytest.mark.parametrize(
    "length",
    [
        pytest.param(SHORT, id="short"),
        pytest.param(LONG, id="long", marks=pytest.mark.slow),
    ],
)
IMAGES = "train-images-idx3-ubyte"
SOUND = idx(np.zeros((3, 28, 28), np.uint8))
damaged = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda place, byte: SOUND[:place] + bytes([byte]) + SOUND[place + 1 :],
        st.integers(0, 40),
        st.integers(0, 255),
    ),
    st.builds(lambda cut: SOUND[:cut], st.integers(0, len(SOUND))),
    st.builds(
        lambda sizes: struct.pack(">4I", 2051, *sizes),
        st.tuples(*[st.integers(0, 2**32 - 1)] * 3),
    ),
)


def one_line(error: Exception) -> None:
    """Check that an error is one line of bounded length."""
    assert "\n" not in str(error)
    assert 0 < len(str(error)) < 3000


def read_idx(data: bytes, packed: bool, spoilt: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_mnist(root, 3, 3, gz=False)
        path = root / "MNIST" / "raw" / IMAGES
        if packed:
            path.unlink()
            archive = bytearray(gzip.compress(data, mtime=0))
            archive[spoilt % len(archive)] ^= spoilt % 256
            data = bytes(archive)
            path = path.with_name(f"{IMAGES}.gz")
        path.write_bytes(data)
        with pytest.raises(SourceError) as caught:  # never MNIST's own md5
            load_digits("mnist", root)
        one_line(caught.value)


IDX = given(damaged, st.booleans(), st.integers(0, 10_000))


def test_no_idx_file_is_a_surprise() -> None:
    SHORT(IDX(read_idx))()


@pytest.mark.slow
def test_no_idx_file_is_a_surprise_at_length() -> None:
    LONG(IDX(read_idx))()


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.binary(max_size=5),
    st.text(max_size=8),
    st.sampled_from([*Recipe.model_fields, *DTD_CLASSES[:3], "dtd", "embedded"]),
)
keys = st.one_of(
    st.integers(0, 9),
    st.text(max_size=3),
    st.sampled_from(["digit_textures", "background_textures"]),
)
flat = st.one_of(
    scalars, st.lists(scalars, max_size=11), st.dictionaries(keys, scalars, max_size=11)
)
values = st.one_of(
    flat, st.lists(flat, max_size=11), st.dictionaries(keys, flat, max_size=4)
)
fields = st.dictionaries(
    st.one_of(st.sampled_from(list(Recipe.model_fields)), st.text(max_size=5)),
    values,
    max_size=6,
)
SIGNS = "abgtexisdnr:-[]{}&*!|>%@#'\"\\\n \t0129.,~?<\x00\x85\ufeff"
texts = st.one_of(
    fields.map(lambda value: yaml.safe_dump({"bg": 0.1, "tex": 0.2, **value})),
    st.text(SIGNS, max_size=60),
    st.text(max_size=60),
    st.text(SIGNS, max_size=20).map(lambda text: f"bg: 0.1\ntex: 0.2\nseed: {text}"),
    st.text(SIGNS, max_size=20).map(lambda text: f"bg: 0.1\ntex: !!{text}"),
)


def read_recipe(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "recipe.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            recipe = load_recipe(path)
        except RecipeError as error:
            one_line(error)
        else:
            assert 0 <= recipe.bg <= 1
            recipe.model_dump_json()


@BOTH
def test_no_recipe_file_is_a_surprise(length: settings) -> None:
    length(given(texts)(read_recipe))()


names = st.lists(
    st.one_of(st.sampled_from(DTD_CLASSES), st.text(max_size=4)),
    min_size=9,
    max_size=11,
)
assignment = st.fixed_dictionaries(
    {
        "digit_textures": st.one_of(names, values),
        "background_textures": st.one_of(names, st.lists(names, max_size=11), values),
    }
)


def check_ties(given_ties: Any) -> None:  # noqa: ANN401 (hostile)
    try:
        assigned = Assignment(**given_ties)
        recipe = Recipe(bg=0, tex=0, ties=assigned)
        assert resolve_assignment(recipe, DTD_CLASSES, DTD_CLASSES) == assigned
    except RecipeError as error:
        one_line(error)


@BOTH
def test_no_ties_are_a_surprise(length: settings) -> None:
    length(given(assignment)(check_ties))()


def picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((24, 20), 60).convert("RGB").save(stream, kind)
    return stream.getvalue()


PICTURES = {
    kind: picture(kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")
}


def read_picture(kind: str, places: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(PICTURES[kind])
    for place, byte in places:
        data[place % len(data)] = byte
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.png"
        path.write_bytes(data[: len(data) - cut % len(data)])
        try:
            pixels = decode_image(path, 28)
        except SourceError as error:
            one_line(error)
        else:
            assert min(pixels.shape[:2]) >= 28


@BOTH
def test_no_image_file_is_a_surprise(length: settings) -> None:
    changes = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4)
    cuts = st.sampled_from([0, 0, 1, 7, 100])
    length(given(st.sampled_from(list(PICTURES)), changes, cuts)(read_picture))()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(kind))
    with pytest.raises(SourceError, match="is too large: 60000 x 60000 px"):
        decode_image(path, 28)
