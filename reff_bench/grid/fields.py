"""Checking one value of a grid against the run's field that it becomes."""

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from reff_bench.catalog.find import CatalogError
from reff_bench.catalog.methods import METHOD_OPTIONS, check_method, known_method
from reff_bench.grid.config import ANNOTATOR, GridError, RunConfig
from texturedmnist.common.text import shown, unknown

# The keys of `data` beside `kind`; `seed` becomes the run's `data_seed`.
RANDOMNESS = ("bg", "tex", "test_bg", "test_tex")
RECIPE_KEYS = (
    *RANDOMNESS,
    *("digits", "digit_textures", "background_textures", "embedded_instances"),
    *("dtd_partition", "train", "val", "test", "image_size", "digit_size", "seed"),
)
RENDERED_KEYS = ("root", "preset", *RECIPE_KEYS, "textures")  # of Textured MNIST
TREE_KEYS = ("root", "task", "image_size")  # of every other dataset
TRAINING_KEYS = (
    *("annotation_unit", "backbone", "weights", "epochs", "batch_size", "optimizer"),
    *("lr", "momentum", "weight_decay", "flips", "precision", "compile"),
    *("threads", "loader_workers", *METHOD_OPTIONS),
)
ANNOTATOR_KEYS = tuple(
    name.removeprefix(ANNOTATOR)
    for name in RunConfig.model_fields
    if name.startswith(ANNOTATOR)
)
SIZES = ("image_size", "digit_size")
AXES = ("method", "annotations", *RANDOMNESS, *SIZES, "seed", *TRAINING_KEYS)
NULLABLE = {"weights", "digit_size", "test_tex", "root"} | {
    f"annotator_{name}" for name in ("downs", "batch_size", "norm", "threshold")
}


def check_value(
    where: str, name: str, value: object, methods: Iterable[str] = ()
) -> Any:  # noqa: ANN401 (of any type)
    """Return the value, as read from YAML, as the run's field holds it.

    Errors name the place, such as `training.lr (line 9)`. The name may be an option of
    one of the methods, besides the built-in ones'.

    Raises:
        GridError: the type or the range is wrong, or the name unknown.
    """
    if name == "method":
        try:
            return check_method(value)
        except CatalogError as error:
            raise GridError(f"{where}: {error}") from None
    field = field_of(name, methods)
    if value is None and name not in NULLABLE:
        raise GridError(f"{where} has no value; leave the key out for the default")
    if isinstance(value, list):
        value = tuple(value)
    names = _literals(field.annotation)
    if names and isinstance(value, str) and value not in names:
        raise GridError(f"{where}: {unknown(name, value, map(str, names))}")
    try:
        checked = _adapter(name, _type_of(field)).validate_python(value)
    except ValidationError as error:
        words = shown(list(value) if isinstance(value, tuple) else value)
        raise GridError(
            f"{where} = {words} is not allowed: {describe_error(error)}"
        ) from None
    if isinstance(checked, tuple) and len(set(checked)) < len(checked):
        raise GridError(f"{where} = {shown(list(checked))}: one of them is there twice")
    if isinstance(checked, str) and "\0" in checked:
        raise GridError(f"{where} = {shown(checked)}: no path has a NUL character")
    return checked


def field_of(name: str, methods: Iterable[str] = ()) -> FieldInfo:
    """Return what a run's field or a method's option is.

    The first of the methods that has such an option says it, then the built-in ones.
    """
    if name in RunConfig.model_fields:
        return RunConfig.model_fields[name]
    for method in methods:
        fields = known_method(method).options.model_fields
        if name in fields:
            return fields[name]
    return METHOD_OPTIONS[name]


@cache
def _adapter(name: str, kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 (a type)
    """Return what checks a field's value; it takes a while to make."""
    return TypeAdapter(kind, config=ConfigDict(strict=True))


def _type_of(field: FieldInfo) -> Any:  # noqa: ANN401 (a type)
    kind: Any = field.annotation
    for condition in field.metadata:
        kind = Annotated[kind, condition]
    return kind


def describe_error(error: ValidationError) -> str:
    """Return what is allowed, in one line, the alternatives joined."""
    parts = [part["msg"].removeprefix("Value error, ") for part in error.errors()]
    # YAML has lists, and its user needn't know what a tuple is.
    words = [
        part.removeprefix("Input should be ").replace("a valid tuple", "a list")
        for part in parts
    ]
    if words == parts:
        return parts[0]
    return f"it should be {', or '.join(dict.fromkeys(words))}"


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
