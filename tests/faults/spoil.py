"""What hostile hands do to a file: to its bytes, and to the values it holds."""

import json
import math
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import yaml

DEEP = json.loads("[" * 300 + "]" * 300)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 0.5, -0.5, 2**63, 10**30, 1e308, math.nan, math.inf, DEEP),
    *("", "x", "..", "../../x", "/x", "a/b", "\0", "\x1b[2J", "²", "\ud7ff", "=cmd()"),
    *("all", "done", "failed", "reff", "own:f", "val_accuracy", "<b>", "\\input{x}"),
    *([], [[]], [None], ["x"], [1, 2], {}, {"": 0}, {"x": {}}, "9" * 400, "y" * 5000),
)
TOKENS = tuple(
    word.encode("utf-8", "surrogatepass")
    for word in (
        *("[", "]", "{", "}", ":", ": ", ",", "\n", "\n- ", "&a ", "*a ", "<<: ", "? "),
        *("!!int ", "!!bool ", "!!python/none ", "|", ">", "'", '"', "#", "%", "\0"),
        *("null", "~", "yes", "010", "1:30", "0x_", "1e999", ".nan", "2024-99-99", " "),
        *("\x1b", "²", "é", "\ud7ff", "\ufeff", "\r", "9" * 5000, "[" * 5000, "-1"),
    )
)


def spoil(content: bytes, suffix: str, draw: random.Random) -> bytes:
    """Return a sound content spoilt in one to three places.

    By its suffix, the values of JSON and YAML are spoilt three times in four.
    """
    times = draw.choice((1, 1, 2, 3))
    if suffix in DUMPS and draw.random() < 0.75:
        values = LOADS[suffix](content)
        for _ in range(times):
            _spoil_value(values, draw)
        return DUMPS[suffix](values).encode("utf-8", "surrogatepass")
    data = bytearray(content)
    for _ in range(times):
        _spoil_bytes(data, draw)
    if draw.random() < 0.05:
        encoding = draw.choice(("utf-8-sig", "utf-16", "utf-32"))
        return data.decode(errors="replace").encode(encoding)
    return bytes(data)


def _dump_lines(values: list[Any]) -> str:
    return "\n".join(map(json.dumps, values))


def _dump_yaml(values: list[Any]) -> str:
    return yaml.safe_dump(values[0], default_flow_style=True, width=10**6)


LOADS: dict[str, Callable[[bytes], list[Any]]] = {
    ".json": lambda content: [json.loads(content)],
    ".jsonl": lambda content: [json.loads(line) for line in content.splitlines()],
    ".yaml": lambda content: [yaml.safe_load(content)],
}
DUMPS: dict[str, Callable[[list[Any]], str]] = {
    ".json": _dump_lines,
    ".jsonl": _dump_lines,
    ".yaml": _dump_yaml,
}


def _spoil_value(values: list[Any], draw: random.Random) -> None:
    """Put another value somewhere, take one away, double it, or rename its key."""
    holder, key = _choose(values, draw)
    value, kind = deepcopy(draw.choice(VALUES)), draw.randrange(6)
    if kind < 3:
        holder[key] = value
    elif kind == 3 and holder is not values:
        del holder[key]
    elif isinstance(holder, list):
        holder.insert(key, holder[key])
    else:
        holder[str(value)[:20]] = holder.pop(key)


def _choose(holder: Any, draw: random.Random) -> tuple[Any, Any]:  # noqa: ANN401 (JSON)
    """Return a list or dict at any depth, and an index or key in it."""
    key = draw.choice([*(range(len(holder)) if isinstance(holder, list) else holder)])
    inner = holder[key]
    deeper = isinstance(inner, list | dict) and inner and draw.random() < 0.8
    return _choose(inner, draw) if deeper else (holder, key)


def _spoil_bytes(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data) + 1)
    end = min(len(data), start + draw.choice((0, 1, 4, 30)))
    kind = draw.randrange(4)
    if kind == 0:
        data[start:end] = draw.choice(TOKENS)
    elif kind == 1:
        data[start:end] = draw.randbytes(end - start)
    elif kind == 2:
        data[start:start] = data[end : end + draw.choice((1, 10, 100))]
    else:
        del data[start:end]
