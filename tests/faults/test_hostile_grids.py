"""Hostile input to the benchmark's doors: one clear line, no traceback, no hang."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reff_bench.grid.config import GridError
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid

GRID = """\
data: {bg: 0, tex: 0, digits: embedded, textures: embedded, image_size: 32}
axes: {method: [baseline, reff], seed: [0, 1]}
training: {backbone: resnet_small}
"""
WORDS = st.sampled_from(
    [
        *("[", "]", "{", "}", ":", ": ", ",", "\n", "\n- ", "&a ", "*a", "<<: ", "? "),
        *("!!int ", "!!bool ", "!!timestamp ", "!!python/none ", "|", ">", "'", '"'),
        *("null", "~", "yes", "010", "1:30", "0x_", "1e999", ".nan", "2024-99-99"),
        *("data", "axes", "method", "baseline", "seed", "tables", "rows", "select"),
        *("training", "layers", "name", "..", "/", "\0", "\x1b", "²", "é", "\ud7ff"),
        *("by", "weight", "methods", "own:f", "where", "root", "kind", "pets"),
        *("=", "."),
    ]
)
TEXTS = st.lists(WORDS | st.text(max_size=5), max_size=30).map("".join)
KEYS = st.sampled_from(
    [
        *("data", "data.root", "data.kind", "data.task", "axes", "axes.seed", "seed"),
        *("method", "tex", "layers", "lr", "tables", "tables.0", "select", "select.by"),
        *("select.options", "methods", "methods.reff", "name", "annotator", "training"),
        *("blocks", "blocks.0", "weights", "annotations", "digit_textures", "compile"),
    ]
)
QUICK = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
LONG = settings(QUICK, max_examples=5000)


def refused_or_read(load: Callable[[], object], error: type[Exception]) -> None:
    """Nothing but the given error may come, in one line that isn't long."""
    try:
        load()
    except error as caught:
        words = str(caught)
        assert words.isprintable()
        assert 0 < len(words) < 3000


def load_text(content: bytes, *overrides: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grid.yaml"
        path.write_bytes(content)
        refused_or_read(lambda: expand(load_grid(path, overrides)), GridError)


def check_file(text: str) -> None:
    load_text(text.encode(errors="surrogatepass"))


def check_override(key: str, value: str) -> None:
    load_text(GRID.encode(), f"{key}={value}")


def check_section(key: str, value: str) -> None:
    load_text(f"{GRID}{key}: {value}".encode(errors="surrogatepass"))


@QUICK
@given(TEXTS)
@example("a: " + "[" * 3000)
@example("{" * 3000)
@example("data: {bg: " + "9" * 5000 + "}")
def test_a_hostile_grid_is_refused_in_one_line(text: str) -> None:
    check_file(text)


@QUICK
@given(KEYS | TEXTS, TEXTS)
@example("axes.²", "1")
@example("methods.:.", "1")
def test_a_hostile_override_is_refused_in_one_line(key: str, value: str) -> None:
    check_override(key, value)


@QUICK
@given(KEYS, TEXTS)
def test_a_hostile_section_is_refused_in_one_line(key: str, value: str) -> None:
    check_section(key, value)


@pytest.mark.slow
def test_many_hostile_grids_are_refused_in_one_line() -> None:
    LONG(given(TEXTS)(check_file))()
    LONG(given(KEYS | TEXTS, TEXTS)(check_override))()
    LONG(given(KEYS, TEXTS)(check_section))()
