"""Checking the sections of a grid file."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reff_bench.catalog.datasets import check_dataset, find_dataset
from reff_bench.catalog.find import CatalogError
from reff_bench.catalog.methods import (
    METHOD_OPTIONS,
    SUPERVISIONS,
    is_own,
    known_method,
    method_spec,
)
from reff_bench.catalog.metrics import METRICS, SELECTABLE, check_metric, find_metric
from reff_bench.grid.config import SUPERVISION, GridError, RunConfig
from reff_bench.grid.fields import (
    AXES,
    RANDOMNESS,
    RENDERED_KEYS,
    TRAINING_KEYS,
    TREE_KEYS,
    check_value,
    describe_error,
)
from reff_bench.grid.model import NAMED_TABLES, PIVOTS, TABLES, Select, TableSpec
from reff_bench.grid.source import Source
from texturedmnist.common.text import shown, shown_text, unknown
from texturedmnist.recipe import PRESETS

DEFAULTS = TableSpec(name="default")


def check_data(source: Source, value: object) -> dict[str, Any]:
    """Return the run fields of the `data` section."""
    given = source.mapping(value, "data")
    kind = given.pop("kind", "textured_mnist")
    try:
        spec = find_dataset(check_dataset(kind))
    except CatalogError as error:
        raise GridError(f"{source.where('data', 'kind')}: {error}") from None
    keys = RENDERED_KEYS if spec.rendered else TREE_KEYS
    source.known(given, ("kind", *keys), f"{kind} key", "data")
    fields: dict[str, Any] = {"dataset": kind, **_preset(source, given)}
    for key, part in given.items():
        where = source.where("data", key)
        if key == "task":
            source.known([part], spec.tasks, "task", "data", "task")
            fields["task"] = part
        elif key == "preset":
            continue
        elif key == "textures":
            for role in ("digit_textures", "background_textures"):
                fields.setdefault(role, check_value(where, role, part))
        else:
            name = "data_seed" if key == "seed" else key
            fields[name] = check_value(where, name, part)
    if not spec.rendered and spec.folder is None and "root" not in fields:
        raise GridError(
            f"{source.where('data')}: root is missing; give the folder of the images"
        )
    _check_root(source, given, fields)
    return fields


def _preset(source: Source, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the preset that is named, if one is."""
    if "preset" not in given:
        return {}
    name = given["preset"]
    source.known([name], PRESETS, "preset", "data", "preset")
    # A run has val_shifted in any case.
    return {
        "data_seed" if key == "seed" else key: value
        for key, value in PRESETS[name].fields.items()
        if key != "val_shifted"
    }


def _check_root(
    source: Source, given: Mapping[str, Any], fields: Mapping[str, Any]
) -> None:
    root = fields.get("root")
    if root is None:
        return
    where = source.where("data", "root")
    if not Path(root).is_dir():
        raise GridError(f"{where} = {shown(root)}: there is no such folder")
    others = sorted(set(given) - {"root"})
    if fields["dataset"] == "textured_mnist" and others:
        raise GridError(
            f"{where}: a finished folder says itself what it is; leave out "
            f"{', '.join(others)}, or leave out root to render on the fly"
        )


def check_fields(
    source: Source, value: object, name: str, keys: Iterable[str], prefix: str = ""
) -> dict[str, Any]:
    """Return the run fields of a section: its keys, with a prefix if need be."""
    given = source.section(value, keys, f"{name} key", name)
    return {
        prefix + key: check_value(source.where(name, key), prefix + key, part)
        for key, part in given.items()
    }


def check_methods(
    source: Source, value: object, used: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return the options of each method of the `methods` section.

    One of the user's own that the grid doesn't use is refused.
    """
    checked = {}
    for name, options in source.mapping(value, "methods").items():
        where = source.where("methods", name)
        check_value(where, "method", name)
        if is_own(name) and name not in used:
            raise GridError(f"{where}: {unknown('method of this grid', name, used)}")
        known = find_options(where, name)
        kind = f"option of {name}"
        given = source.section(options, known, kind, "methods", name)
        checked[name] = {
            key: check_value(source.where("methods", name, key), key, part, [name])
            for key, part in given.items()
        }
    return checked


def find_options(where: str, method: str) -> Mapping[str, Any]:
    """Return the options of a method by name, importing one of the user's own.

    Raises:
        GridError: it can't be imported, or one of its options has a name that a grid
            uses for something else.
    """
    try:
        known = method_spec(method).options.model_fields
    except CatalogError as error:
        raise GridError(f"{where}: {error}") from None
    for name in known:
        if name in RunConfig.model_fields or name in RANDOMNESS:
            raise GridError(
                f"{where}: {method} has an option {name!r}, which is a key of every "
                "grid; give it another name"
            )
    return known


def check_block(source: Source, value: object, *place: str | int) -> dict[str, Any]:
    """Return the axes of a block, each a tuple of values."""
    given = source.mapping(value, *place)
    methods: tuple[str, ...] = ()
    if "method" in given:
        methods = _check_list(source, "method", given["method"], (), *place, "method")
    own = [name for one in methods for name in find_options(source.where(*place), one)]
    source.known(given, dict.fromkeys((*AXES, *own)), "axis", *place)
    return {
        axis: _check_list(source, axis, part, methods, *place, axis)
        for axis, part in given.items()
    }


def _check_list(
    source: Source, name: str, value: object, methods: Iterable[str], *place: str | int
) -> tuple[Any, ...]:
    where = source.where(*place)
    parts = source.items(value, f"; write [{shown_text(str(value))}]", *place)
    if not parts:
        raise GridError(f"{where} is empty; give at least one value")
    values: dict[Any, None] = {}
    for number, part in enumerate(parts):
        checked = check_value(source.where(*place, number), name, part, methods)
        if checked in values:
            raise GridError(f"{where}: {shown(part)} is there twice")
        values[checked] = None
    return tuple(values)


def check_select(source: Source, value: object, methods: Iterable[str]) -> Select:
    """Return how hyper-parameters are chosen, the options of some methods."""
    methods = [*methods]
    own = [name for one in methods for name in known_method(one).options.model_fields]
    given = source.section(value, Select.model_fields, "select key", "select")
    known, place = dict.fromkeys((*TRAINING_KEYS, *own)), ("select", "options")
    options = source.section(given.get("options"), known, "option to tune", *place)
    for key in ("by", "also"):
        if key in given:
            _check_metric(source, key, given[key])
    lists = {
        name: _check_list(source, name, part, methods, *place, name)
        for name, part in options.items()
    }
    return Select(**{**given, "options": lists})


def _check_metric(source: Source, key: str, value: object) -> None:
    if value in SELECTABLE or (value is None and key == "also"):
        return
    where = source.where("select", key)
    if str(value).startswith("test"):
        raise GridError(
            f"{where} = {shown(value)}: nothing is chosen on the test split; "
            f"allowed: {', '.join(SELECTABLE)}"
        )
    raise GridError(f"{where}: {unknown('metric', value, SELECTABLE)}")


def check_metrics(
    source: Source, value: object, tables: Iterable[TableSpec]
) -> tuple[str, ...]:
    """Return the metrics of the user's own: those listed and those of the tables."""
    what = " of names, such as package.module:function"
    listed = [] if value is None else source.items(value, what, "metrics")
    found = {}
    for name in (*listed, *(table.value for table in tables)):
        try:
            if check_metric(name) not in METRICS:
                found[name] = find_metric(name)
        except CatalogError as error:
            raise GridError(f"{source.where('metrics')}: {error}") from None
    return tuple(found)


def check_tables(source: Source, value: object) -> tuple[TableSpec, ...]:
    """Return the tables to write; `tab1` and `tab4` are always written."""
    parts = ["tab2"] if value is None else source.items(value, "", "tables")
    tables: list[TableSpec] = []
    for number, part in enumerate(parts):
        spec = _check_table(source, part, number)
        # Some file systems take `a` and `A` for one name.
        names = {table.name.casefold() for table in tables}
        if spec is not None and spec.name.casefold() in names:
            where = source.where("tables", number)
            raise GridError(f"{where}: the table {spec.name!r} is there twice")
        tables += [] if spec is None else [spec]
    return tuple(tables)


def check_pivot(**fields: str) -> TableSpec:
    """Return a table that is asked for outside a grid file.

    Raises:
        GridError: a name is unknown.
    """
    spec = _check_table(Source(Path("reff-bench table"), {}), fields, 0)
    assert spec is not None
    return spec


def _check_table(source: Source, value: object, number: int) -> TableSpec | None:
    place = ("tables", number)
    if not isinstance(value, dict):
        if not isinstance(value, str) or value not in NAMED_TABLES:
            known = (*TABLES, "a mapping with rows, columns and value")
            where = source.where(*place)
            raise GridError(f"{where}: {unknown('table', value, known)}")
        return NAMED_TABLES[value]
    given = source.section(value, TableSpec.model_fields, "table key", *place)
    for key in ("where", "unless"):
        given[key] = _check_where(source, given.get(key), *place, key)
    axes = {key: given.get(key, getattr(DEFAULTS, key)) for key in ("rows", "columns")}
    source.known(axes.values(), PIVOTS, "axis", *place)
    given["name"] = str(given.get("name") or "{rows}_{columns}".format(**axes))
    if given["name"].casefold() in TABLES:
        raise GridError(
            f"{source.where(*place)}: the name {shown(given['name'])} is not allowed: "
            f"it should be none of {', '.join(TABLES)}"
        )
    try:
        return TableSpec(**given)
    except ValidationError as error:
        where = source.where(*place, *error.errors()[0]["loc"][:1])
        raise GridError(f"{where}: {describe_error(error)}") from None


def _check_where(source: Source, value: object, *place: str | int) -> dict[str, Any]:
    """Return a filter of runs whose values their fields can have."""
    known = (*RunConfig.model_fields, *METHOD_OPTIONS, SUPERVISION)
    given = source.section(value, known, "field of a run", *place)
    for name, part in given.items():
        if name == SUPERVISION:
            source.known([part], SUPERVISIONS, "supervision", *place, name)
        elif part is not None:
            check_value(source.where(*place, name), name, part)
    return given
