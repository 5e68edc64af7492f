"""Checking one value of a grid against the cell's field that it becomes."""

from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from reff_bench.grid.cell import ANNOTATOR, Cell
from reff_bench.grid.errors import GridError
from reff_bench.grid.names import METHODS
from texturedmnist.common.text import shown, unknown

# The keys of `data` beside `kind`; `seed` becomes the cell's `data_seed`.
KNOBS = ("bg", "tex", "test_bg", "test_tex")
RECIPE_KEYS = (
    *KNOBS,
    *("digits", "digit_textures", "background_textures", "embedded_instances"),
    *("dtd_partition", "train", "val", "test", "image_size", "digit_size", "seed"),
)
RENDERED_KEYS = ("root", *RECIPE_KEYS, "textures")  # of Textured MNIST
TREE_KEYS = ("root", "task", "image_size")  # of every other data set
METHOD_OPTIONS = (
    *("weight", "warmup", "layers", "target", "score", "sign", "normalization"),
    *("norm", "pooling", "detach_weights", "cam_bn", "cam_precision", "map_kernel"),
    *("multiplicative_only", "swap_probability"),
)
TRAINING_KEYS = (
    *("annotation_unit", "backbone", "weights", "epochs", "batch_size", "optimizer"),
    *("lr", "momentum", "weight_decay", "flips", "precision", "compile"),
    *("threads", "loader_workers", *METHOD_OPTIONS),
)
ANNOTATOR_KEYS = tuple(
    name.removeprefix(ANNOTATOR)
    for name in Cell.model_fields
    if name.startswith(ANNOTATOR)
)
SIZES = ("image_size", "digit_size")
AXES = ("method", "annotations", *KNOBS, *SIZES, "seed", *TRAINING_KEYS)
NULLABLE = {"weights", "digit_size", "test_tex", "root"} | {
    f"annotator_{name}" for name in ("downs", "batch_size", "norm", "threshold")
}


def check_value(where: str, name: str, value: object) -> Any:  # noqa: ANN401
    """Return the value as the cell's field holds it.

    Args:
        where: the place to name in an error, such as `training.lr (line 9)`.
        name: of the cell's field.
        value: as read from YAML.

    Raises:
        GridError: the type or the range is wrong, or the name unknown.
    """
    if name == "method":
        return _check_method(where, value)
    if value is None and name not in NULLABLE:
        raise GridError(f"{where} has no value; leave the key out for the default")
    if isinstance(value, list):
        value = tuple(value)
    names = _literals(Cell.model_fields[name].annotation)
    if names and isinstance(value, str) and value not in names:
        raise GridError(f"{where}: {unknown(name, value, map(str, names))}")
    try:
        checked = _adapter(name).validate_python(value)
    except ValidationError as error:
        words = shown(list(value) if isinstance(value, tuple) else value)
        raise GridError(f"{where} = {words} is not allowed: {say(error)}") from None
    if isinstance(checked, tuple) and len(set(checked)) < len(checked):
        raise GridError(f"{where} = {shown(list(checked))}: one of them is there twice")
    if isinstance(checked, str) and "\0" in checked:
        raise GridError(f"{where} = {shown(checked)}: no path has a NUL character")
    return checked


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    """Return what checks a value of a cell's field; it takes a while to make."""
    field = Cell.model_fields[name]
    kind: Any = field.annotation
    for condition in field.metadata:
        kind = Annotated[kind, condition]
    return TypeAdapter(kind, config=ConfigDict(strict=True))


def say(error: ValidationError) -> str:
    """Return what is allowed, in one line, the alternatives joined."""
    parts = [part["msg"].removeprefix("Value error, ") for part in error.errors()]
    words = [part.removeprefix("Input should be ") for part in parts]
    if words == parts:
        return parts[0]
    return f"it should be {', or '.join(dict.fromkeys(words))}"


def _check_method(where: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise GridError(f"{where} = {shown(value)} is not allowed: it should be a name")
    module, colon, function = value.partition(":")
    if not colon:
        if value not in METHODS:
            known = [*METHODS, "your own as package.module:function"]
            raise GridError(f"{where}: {unknown('method', value, known)}")
    elif not all(part.isidentifier() for part in (*module.split("."), function)):
        raise GridError(
            f"{where} = {shown(value)} is not an import path; write "
            "package.module:function"
        )
    return value


def _literals(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return the values of the `Literal`s in a type, none when a number may do."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(
        value
        for part in get_args(annotation)
        if get_origin(annotation) is not tuple
        for value in _literals(part)
    )
