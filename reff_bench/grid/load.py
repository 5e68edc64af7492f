"""From a grid file to a checked `Grid`."""

import re
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from reff_bench.grid.config import ANNOTATOR, GridError
from reff_bench.grid.fields import (
    ANNOTATOR_KEYS,
    AXES,
    RENDERED_KEYS,
    TRAINING_KEYS,
    TREE_KEYS,
)
from reff_bench.grid.model import GRID_NAME, Grid
from reff_bench.grid.sections import (
    check_block,
    check_data,
    check_fields,
    check_methods,
    check_metrics,
    check_select,
    check_tables,
)
from reff_bench.grid.source import Source, parse_override, read_grid
from texturedmnist.common.text import shown, shown_text, unknown
from texturedmnist.common.yaml_file import KeyPath

KEYS = (
    *("name", "data", "blocks", "axes", "training", "methods", "annotator"),
    *("select", "tables", "metrics"),
)

NUMBER = re.compile(r"[0-9]{1,9}")
OWN_METHOD = re.compile(r"methods\.([^:]+:[^.]+)(?:\.(.+))?")


def load_grid(path: Path, overrides: Sequence[str] = ()) -> Grid:
    """Read a grid file and check every value in it.

    Args:
        path: YAML; the shipped `grids/` show the keys.
        overrides: `KEY=VALUE`, each replacing a value of the file. KEY is a dotted
            path (`training.epochs`, `blocks.0.seed`) or a bare name: an axis (replaced
            in every block), a key of `data` or of `training`.

    Raises:
        GridError: the first mistake: its place, the value, what is allowed.
    """
    raw, lines = read_grid(path)
    raw, places = _override(raw, overrides)
    source = Source(path, lines, frozenset(places))
    source.known(raw, KEYS, "key")
    blocks, where = _check_blocks(source, raw)
    used = dict.fromkeys(name for block in blocks for name in block["method"])
    methods = check_methods(source, raw.get("methods"), used)
    tables = check_tables(source, raw.get("tables"))
    return Grid(
        path=path,
        name=_check_name(source, raw.get("name", path.stem)),
        data=check_data(source, raw.get("data")),
        blocks=blocks,
        places=where,
        training={
            **check_fields(source, raw.get("training"), "training", TRAINING_KEYS),
            **check_fields(
                *(source, raw.get("annotator"), "annotator"), ANNOTATOR_KEYS, ANNOTATOR
            ),
        },
        methods=methods,
        select=check_select(source, raw.get("select"), used),
        tables=tables,
        metrics=check_metrics(source, raw.get("metrics"), tables),
    )


def _check_name(source: Source, name: object) -> str:
    if not isinstance(name, str) or not re.fullmatch(GRID_NAME, name):
        raise GridError(
            f"{source.where('name')} = {shown(name)} is not allowed: it should be "
            "of letters, digits, '.', '-' and '_', at most 100, the first none of '.' "
            "and '-': a folder is named after it"
        )
    return name


def _check_blocks(
    source: Source, raw: dict[str, Any]
) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """Return the blocks, each with a method axis, and where they stand."""
    if ("blocks" in raw) == ("axes" in raw):
        raise GridError(
            f"{source.path}: give either axes (one block) or blocks (a list of them)"
        )
    if "axes" in raw:
        places: list[KeyPath] = [("axes",)]
        values = [raw["axes"]]
    else:
        values = raw["blocks"]
        if not isinstance(values, list) or not values:
            raise GridError(
                f"{source.where('blocks')} = {shown(values)} is not allowed: it should "
                "be a list of at least one mapping of axes"
            )
        places = [("blocks", number) for number in range(len(values))]
    blocks = [
        check_block(source, value, *place)
        for value, place in zip(values, places, strict=True)
    ]
    for block, place in zip(blocks, places, strict=True):
        if "method" not in block:
            raise GridError(
                f"{source.where(*place)} has no axis method; give one, such as "
                "method: [baseline, reff]"
            )
    return tuple(blocks), tuple(source.where(*place) for place in places)


def _override(
    raw: dict[str, Any], overrides: Sequence[str]
) -> tuple[dict[str, Any], list[KeyPath]]:
    """Return the raw grid with every override in it, and where they went."""
    raw, places = deepcopy(raw), []
    for text in overrides:
        key, value = parse_override(text)
        for place in _paths_of(raw, key):
            single = place[-1] in AXES and place[0] in ("axes", "blocks")
            wrapped = single and not isinstance(value, list)
            _put(raw, place, [value] if wrapped else value, text)
            places.append(place)
    return raw, places


def _paths_of(raw: dict[str, Any], key: str) -> list[KeyPath]:
    own = OWN_METHOD.fullmatch(key)
    if own is not None:
        return [tuple(part for part in ("methods", *own.groups()) if part is not None)]
    if "." in key or key in KEYS:
        return [tuple(int(p) if NUMBER.fullmatch(p) else p for p in key.split("."))]
    blocks = _block_paths(raw)
    if key in ("method", "annotations", "seed"):
        return [(*place, key) for place in blocks]
    axes = [
        (*p, key) for p in blocks if isinstance(b := _get(raw, p), dict) and key in b
    ]
    if axes:
        return axes
    if key in (*RENDERED_KEYS, *TREE_KEYS):
        return [("data", key)]
    if key in TRAINING_KEYS:
        return [("training", key)]
    short = key.removeprefix(ANNOTATOR)
    if short != key and short in ANNOTATOR_KEYS:
        return [("annotator", short)]
    known = (*KEYS, *AXES, *RENDERED_KEYS)
    names = dict.fromkeys(known)
    raise GridError(f"--set {shown_text(key)}: {unknown('key', key, names)}")


def _block_paths(raw: dict[str, Any]) -> list[KeyPath]:
    blocks = raw.get("blocks")
    if isinstance(blocks, list):
        return [("blocks", number) for number in range(len(blocks))]
    return [("axes",)]


def _get(raw: Any, place: KeyPath) -> Any:  # noqa: ANN401 (whatever YAML holds)
    for part in place:
        raw = raw.get(part) if isinstance(raw, dict) else raw[part]
    return raw


def _put(raw: Any, place: KeyPath, value: object, text: str) -> None:  # noqa: ANN401
    for part in place[:-1]:
        if isinstance(raw, dict) and raw.get(part) is None:
            raw[part] = {}
        raw = _step(raw, part, text)
    if not isinstance(raw, dict):
        _step(raw, place[-1], text)
    raw[place[-1]] = value


def _step(raw: Any, part: str | int, text: str) -> Any:  # noqa: ANN401
    try:
        if isinstance(raw, str):
            raise TypeError
        return raw[part]
    except (LookupError, TypeError):
        raise GridError(
            f"--set {shown_text(text)}: the grid has no such place"
        ) from None
