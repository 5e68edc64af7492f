"""Places in a grid's YAML, for errors that name them, and `--set KEY=VALUE`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reff_bench.grid.config import GridError
from texturedmnist.common.text import shown, shown_text, unknown
from texturedmnist.common.yaml_file import (
    KeyPath,
    Lines,
    YamlError,
    parse_yaml,
    read_yaml,
)


def read_grid(path: Path) -> tuple[dict[str, Any], Lines]:
    """Read a grid file, and the line (from 1) of every key and list entry in it.

    Raises:
        GridError: the file can't be read, isn't a mapping, or names a key twice.
    """
    try:
        value, lines = read_yaml(path, "grid")
    except YamlError as error:
        raise GridError(str(error)) from None
    if not isinstance(value, dict):
        raise GridError(
            f"{path} must be a YAML mapping with the keys data, blocks (or axes), ..."
        )
    return value, lines


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
        return key.strip(), parse_yaml(value)[0]
    except YamlError as error:
        raise GridError(f"--set {shown_text(text)}: {error}") from None


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
