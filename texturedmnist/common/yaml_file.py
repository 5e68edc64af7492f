"""YAML read as it looks, with the line of every key."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from texturedmnist.common.text import shown, shown_text

KeyPath: TypeAlias = tuple[str | int, ...]
Lines: TypeAlias = dict[KeyPath, int]

MOST_BYTES = 4_000_000
LARGEST = 100_000  # values of one file, each counted as often as aliases repeat it
DEEPEST = 100  # PyYAML's time grows with the square of the depth
_NUMBER = list("-+.0123456789")
# What PyYAML's constructors raise at `!!int x`, `!!bool x`, a number of 5,000 digits.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)


class YamlError(ValueError):
    """A text that is not the YAML read here: one line that says where and why."""


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
    composed = depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401
        """Stop where a file has too many values, before they fill the memory."""
        self.composed += 1
        self.depth += 1
        _check_count(self.composed, self.line + 1)
        if self.depth > DEEPEST:
            raise YamlError(f"line {self.line + 1}: nested more than {DEEPEST} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


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


def read_yaml(path: Path, what: str) -> tuple[Any, Lines]:
    """Read a YAML file, and the line (from 1) of every key and list entry in it.

    Args:
        path: of the file.
        what: it should be, for errors, such as `grid`.

    Raises:
        YamlError: the file can't be read, isn't YAML, is too large or names a key
            twice.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise YamlError(f"can't read the {what} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise YamlError(f"{path} is not a YAML file: it isn't UTF-8 text") from None
    if len(data) > MOST_BYTES:
        raise YamlError(f"{path} is larger than {MOST_BYTES:,} bytes: it is no {what}")
    try:
        return parse_yaml(text)
    except YamlError as error:
        raise YamlError(f"{path}: {error}") from None


def parse_yaml(text: str) -> tuple[Any, Lines]:
    """Read one YAML value, and the line (from 1) of every key and list entry in it.

    Raises:
        YamlError: it isn't YAML, is too large, or holds a key twice.
    """
    lines: Lines = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        for place, line in () if node is None else _walk(node, ()):
            lines[place] = line
            _check_count(len(lines), line)
        return (None if node is None else loader.construct_document(node)), lines
    except YamlError:
        raise
    except RecursionError:
        raise YamlError("an alias refers to itself") from None
    except yaml.YAMLError as error:
        raise YamlError(_one_line(error)) from None
    except _UNREADABLE as error:
        reason = f"a value can't be read ({shown(error)})"
        raise YamlError(f"not valid YAML: {reason}") from None


def _check_count(values: int, line: int) -> None:
    if values > LARGEST:
        raise YamlError(
            f"line {line}: more than {LARGEST:,} values, those that aliases repeat "
            "counted each time; make it shorter"
        )


def _walk(node: yaml.Node, place: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """Yield every place under a node and its line; refuse a key given twice."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError(f"line {key.start_mark.line + 1}: a key must be a name")
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise YamlError(f"line {line}: the key {shown(name)} is there twice")
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
        return f"not valid YAML: {shown_text(' '.join(str(error).split()))}"
    where = f"line {mark.line + 1}, column {mark.column + 1}"
    return f"{where}: not valid YAML: {shown_text(problem)}"
