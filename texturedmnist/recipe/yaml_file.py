"""YAML as it looks: what a reader of the file wouldn't expect is refused."""

import re
from pathlib import Path
from typing import Any

import yaml

from texturedmnist.recipe.base import RecipeError

MOST_BYTES = 4_000_000  # 20,000 classes are an eighth of it
MOST_VALUES = 100_000
DEEPEST = 100  # PyYAML's time grows with the square of the depth
DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")


class _Loader(yaml.SafeLoader):
    """Plain values only: no references, no field twice, decimal whole numbers."""

    composed = depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401
        """Refuse masses, and references: a few lines can stand for gigabytes."""
        self.composed += 1
        self.depth += 1
        if self.depth > DEEPEST:
            raise RecursionError
        if self.composed > MOST_VALUES:
            raise yaml.composer.ComposerError(
                None, None, f"more than {MOST_VALUES:,} values", self.get_mark()
            )
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None,
                None,
                "references (*name) aren't read: repeat what they stand for",
                event.start_mark,
            )
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ANN401 (PyYAML's)
        """Refuse a key that comes twice: the first value would be lost."""
        seen = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise _refusal(f"{key.value} is given twice: keep one", key)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def _refusal(text: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, text, node.start_mark)


def _whole_number(loader: Any, node: Any) -> int:  # noqa: ANN401 (PyYAML's)
    """Read decimal alone: YAML 1.1 takes 010 for 8 and 1:30 for 90."""
    if not DECIMAL.fullmatch(str(node.value)):
        raise _refusal(
            f"{str(node.value)[:40]} is not a plain whole number: write it in decimal "
            "and without leading zeros, or in quotes if it is a name",
            node,
        )
    return int(node.value)


def _fraction(loader: Any, node: Any) -> float:  # noqa: ANN401 (PyYAML's)
    """Read decimal alone: YAML 1.1 takes 1:30.5 for 90.5."""
    if ":" in node.value:
        raise _refusal(f"{str(node.value)[:40]} is not a plain number", node)
    return float(loader.construct_yaml_float(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _fraction)


def read_mapping(path: Path) -> dict[Any, Any] | None:
    """Read a YAML file that should hold a mapping; None if it holds something else.

    Raises:
        RecipeError: the file can't be read or isn't the YAML that this package reads.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise RecipeError(f"can't read the recipe {path}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise RecipeError(f"{path} is larger than {MOST_BYTES} bytes: it is no recipe")
    try:
        fields = yaml.load(data.decode(), _Loader)
    except RecursionError:
        raise RecipeError(f"{path} is not valid YAML: nested too deeply") from None
    # PyYAML's constructors raise what Python's own conversions do.
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        text = " ".join(str(error).split())
        raise RecipeError(f"{path} is not valid YAML: {text}") from None
    return fields if isinstance(fields, dict) else None
