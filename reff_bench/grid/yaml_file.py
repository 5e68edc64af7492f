"""Reading a grid's YAML with the line of every key, and `--set KEY=VALUE`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from reff_bench.grid.errors import GridError

Place: TypeAlias = tuple[str | int, ...]
Lines: TypeAlias = dict[Place, int]


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number: YAML 1.2 does, PyYAML's 1.1 wants 1.0e-3."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+\Z"),
    list("-+.0123456789"),
)


def read_yaml(path: Path) -> tuple[dict[str, Any], Lines]:
    """Read a YAML mapping, and the line (from 1) of every key and list entry in it.

    Raises:
        GridError: the file can't be read, isn't a mapping, or names a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise GridError(f"can't read the grid {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise GridError(f"{path} is not a YAML file: it isn't UTF-8 text") from None
    lines: Lines = {}
    try:
        node = yaml.compose(text, _Loader)
        for place, line in () if node is None else _walk(node, ()):
            lines[place] = line
        value = parse_value(text)
    except yaml.YAMLError as error:
        raise GridError(f"{path} is not valid YAML: {_one_line(error)}") from None
    except GridError as error:
        raise GridError(f"{path}, {error}") from None
    except RecursionError:
        raise GridError(
            f"{path} is not valid YAML: an alias refers to itself"
        ) from None
    if not isinstance(value, dict):
        raise GridError(
            f"{path} must be a YAML mapping with the keys data, blocks (or axes), ..."
        )
    return value, lines


def parse_value(text: str) -> object:
    """Read one YAML value."""
    return yaml.load(text, _Loader)


def parse_override(text: str) -> tuple[str, object]:
    """Read `KEY=VALUE`, the value as YAML.

    Raises:
        GridError: there is no `=`, no key, or the value isn't YAML.
    """
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise GridError(
            f"--set {text!r} must be KEY=VALUE, such as --set epochs=2 "
            "or --set data.train=500"
        )
    try:
        return key.strip(), parse_value(value)
    except yaml.YAMLError as error:
        raise GridError(
            f"--set {key}: the value {value!r} is not valid YAML: {_one_line(error)}"
        ) from None


def _walk(node: yaml.Node, place: Place) -> Iterator[tuple[Place, int]]:
    """Yield every place under a node and its line; refuse a key given twice."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise GridError(f"line {line}: the key {name!r} is there twice")
            seen.add(name)
            yield (*place, name), line
            yield from _walk(value, (*place, name))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*place, number), value.start_mark.line + 1
            yield from _walk(value, (*place, number))


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    if mark is None or problem is None:
        return " ".join(str(error).split())
    return f"{problem} in line {mark.line + 1}, column {mark.column + 1}"
