"""Reading a grid's YAML with the line of every key, and `--set KEY=VALUE`."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from reff_bench.grid.config import GridError
from texturedmnist.common.text import shown, shown_text, unknown

KeyPath: TypeAlias = tuple[str | int, ...]
Lines: TypeAlias = dict[KeyPath, int]

MOST_BYTES = 4_000_000
LARGEST = 100_000  # values of one file, each counted as often as aliases repeat it
DEEPEST = 100  # brackets within brackets
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_NUMBER = list("-+.0123456789")
# What PyYAML's constructors raise at `!!int x`, `!!bool x`, a number of 5,000 digits.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)


class _Loader(yaml.SafeLoader):
    """Reads numbers as they are written: 1e-3 is one, 010 and 1:30 are none.

    YAML 1.1, which PyYAML reads, takes these two for 8 and for 90, and 2024-01-01 for a
    date; YAML 1.2 has neither.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own form)
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag.rpartition(":")[2] not in ("int", "float", "timestamp")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    composed = 0

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401
        """Stop where a file has too many values, before they fill the memory."""
        self.composed += 1
        _check_count(self.composed, self.line + 1)
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0|[1-9][0-9]*(?:_[0-9]+)*)\Z"),
    _NUMBER,
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
    _NUMBER,
)


def read_yaml(path: Path) -> tuple[dict[str, Any], Lines]:
    """Read a YAML mapping, and the line (from 1) of every key and list entry in it.

    Raises:
        GridError: the file can't be read, isn't a mapping, or names a key twice.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise GridError(f"can't read the grid {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise GridError(f"{path} is not a YAML file: it isn't UTF-8 text") from None
    if len(data) > MOST_BYTES:
        raise GridError(f"{path} is larger than {MOST_BYTES:,} bytes: it is no grid")
    try:
        value, lines = _parse(text)
    except GridError as error:
        raise GridError(f"{path}, {error}") from None
    except yaml.YAMLError as error:
        raise GridError(f"{path} is not valid YAML: {_one_line(error)}") from None
    if not isinstance(value, dict):
        raise GridError(
            f"{path} must be a YAML mapping with the keys data, blocks (or axes), ..."
        )
    return value, lines


def parse_value(text: str) -> object:
    """Read one YAML value.

    Raises:
        GridError: it is too large, or holds a key twice.
        yaml.YAMLError: it isn't YAML.
    """
    return _parse(text)[0]


def _parse(text: str) -> tuple[Any, Lines]:
    lines: Lines = {}
    # PyYAML's time grows with the square of the depth.
    if max(accumulate(_STEPS.get(sign, 0) for sign in text), default=0) > DEEPEST:
        raise yaml.YAMLError(f"it is nested more than {DEEPEST} deep")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        for place, line in () if node is None else _walk(node, ()):
            lines[place] = line
            _check_count(len(lines), line)
        return (None if node is None else loader.construct_document(node)), lines
    except RecursionError:
        raise yaml.YAMLError(
            "it is nested too deep, or an alias refers to itself"
        ) from None
    except _UNREADABLE as error:
        if isinstance(error, GridError):
            raise
        raise yaml.YAMLError(f"a value can't be read ({shown(error)})") from None
    finally:
        loader.dispose()


def _check_count(values: int, line: int) -> None:
    if values > LARGEST:
        raise GridError(
            f"line {line}: more than {LARGEST:,} values, those that aliases repeat "
            "counted each time; make it shorter"
        )


def parse_override(text: str) -> tuple[str, object]:
    """Read `KEY=VALUE`, the value as YAML.

    Raises:
        GridError: there is no `=`, no key, or the value isn't YAML or is too large.
    """
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise GridError(
            f"--set {shown(text)} must be KEY=VALUE, such as --set epochs=2 "
            "or --set data.train=500"
        )
    try:
        return key.strip(), parse_value(value)
    except GridError as error:
        raise GridError(f"--set {shown_text(key)}: {error}") from None
    except yaml.YAMLError as error:
        raise GridError(
            f"--set {shown_text(key)}: the value {shown(value)} is not valid YAML: "
            f"{_one_line(error)}"
        ) from None


def _walk(node: yaml.Node, place: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """Yield every place under a node and its line; refuse a key given twice."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise GridError(f"line {key.start_mark.line + 1}: a key must be a name")
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise GridError(f"line {line}: the key {shown(name)} is there twice")
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
        return shown_text(" ".join(str(error).split()))
    return f"{shown_text(problem)} in line {mark.line + 1}, column {mark.column + 1}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where values come from, so that an error can name the place.

    `overridden` are the places that `--set` gave.
    """

    path: Path
    lines: Lines
    overridden: frozenset[KeyPath] = frozenset()

    def where(self, *place: str | int) -> str:
        """Return a place in words: `grid.yaml: training.lr (line 9)`."""
        text = ""
        for part in place:
            text += f"[{part}]" if isinstance(part, int) else f".{shown_text(part)}"
        text = text.removeprefix(".")
        starts = [place[:end] for end in range(len(place), 0, -1)]
        if not self.overridden.isdisjoint(starts):
            return f"--set {text}"
        for start in starts:
            if start in self.lines:
                return f"{self.path}: {text} (line {self.lines[start]})"
        return f"{self.path}: {text}"

    def mapping(self, value: object, *place: str | int) -> dict[str, Any]:
        """Return a section that must be a mapping; a section left empty is {}."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise GridError(
                f"{self.where(*place)} = {shown(value)} is not allowed: it should be a "
                "mapping of names to values"
            )
        return {str(key): part for key, part in value.items()}

    def known(
        self, names: Iterable[str], known: Iterable[str], kind: str, *place: str | int
    ) -> None:
        """Refuse the first unknown name."""
        allowed = list(known)
        for name in names:
            if name not in allowed:
                where = self.where(*place, str(name))
                raise GridError(f"{where}: {unknown(kind, name, allowed)}")

    def section(
        self, value: object, known: Iterable[str], kind: str, *place: str | int
    ) -> dict[str, Any]:
        """Return a mapping whose names must be known."""
        given = self.mapping(value, *place)
        self.known(given, known, kind, *place)
        return given

    def items(self, value: object, what: str, *place: str | int) -> list[Any]:
        """Return a value that must be a list; says what of."""
        if not isinstance(value, list):
            raise GridError(
                f"{self.where(*place)} = {shown(value)} is not allowed: it should be "
                f"a list{what}"
            )
        return value
