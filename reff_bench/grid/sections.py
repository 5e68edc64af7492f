"""Checking the sections of a grid file."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
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
from reff_bench.grid.config import ANNOTATOR, SUPERVISION, RunConfig
from reff_bench.grid.errors import GridError
from reff_bench.grid.fields import (
    ANNOTATOR_KEYS,
    AXES,
    RANDOMNESS,
    RENDERED_KEYS,
    TRAINING_KEYS,
    TREE_KEYS,
    check_value,
    say,
)
from reff_bench.grid.model import NAMED_TABLES, PIVOTS, TABLES, Select, TableSpec
from reff_bench.grid.yaml_file import Lines, Place
from texturedmnist.common.text import shown, shown_text, unknown
from texturedmnist.recipe import PRESETS

DEFAULTS = TableSpec(name="default")


@dataclass(frozen=True, slots=True)
class Source:
    """Where values come from, so that an error can name the place.

    Attributes:
        path: of the grid file.
        lines: by place.
        overridden: places that `--set` gave.
    """

    path: Path
    lines: Lines
    overridden: frozenset[Place] = frozenset()

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


def check_training(source: Source, value: object) -> dict[str, Any]:
    """Return the run fields of the `training` section."""
    given = source.mapping(value, "training")
    source.known(given, TRAINING_KEYS, "training key", "training")
    return {
        key: check_value(source.where("training", key), key, part)
        for key, part in given.items()
    }


def check_annotator(source: Source, value: object) -> dict[str, Any]:
    """Return the run fields of the `annotator` section."""
    given = source.mapping(value, "annotator")
    source.known(given, ANNOTATOR_KEYS, "annotator key", "annotator")
    return {
        ANNOTATOR + key: check_value(
            source.where("annotator", key), ANNOTATOR + key, part
        )
        for key, part in given.items()
    }


def check_methods(
    source: Source, value: object, used: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return the options of each method of the `methods` section.

    Args:
        source: of the section.
        value: of the section.
        used: the grid's methods; another one of the user's own is refused.
    """
    checked = {}
    for name, options in source.mapping(value, "methods").items():
        where = source.where("methods", name)
        check_value(where, "method", name)
        if is_own(name) and name not in used:
            raise GridError(f"{where}: {unknown('method of this grid', name, used)}")
        given = source.mapping(options, "methods", name)
        known = find_options(where, name)
        source.known(given, known, f"option of {name}", "methods", name)
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
    source: Source,
    name: str,
    value: object,
    methods: Iterable[str],
    *place: str | int,
) -> tuple[Any, ...]:
    where = source.where(*place)
    if not isinstance(value, list):
        raise GridError(
            f"{where} = {shown(value)} is not allowed: it should be a list; write "
            f"[{shown_text(str(value))}]"
        )
    if not value:
        raise GridError(f"{where} is empty; give at least one value")
    values: dict[Any, None] = {}
    for number, part in enumerate(value):
        checked = check_value(source.where(*place, number), name, part, methods)
        if checked in values:
            raise GridError(f"{where}: {shown(part)} is there twice")
        values[checked] = None
    return tuple(values)


def check_select(source: Source, value: object, methods: Iterable[str]) -> Select:
    """Return how hyper-parameters are chosen, the options of some methods."""
    methods = [*methods]
    own = [name for one in methods for name in known_method(one).options.model_fields]
    given = source.mapping(value, "select")
    source.known(given, Select.model_fields, "select key", "select")
    options = source.mapping(given.get("options"), "select", "options")
    known = dict.fromkeys((*TRAINING_KEYS, *own))
    source.known(options, known, "option to tune", "select", "options")
    for key in ("by", "also"):
        if key in given:
            _check_metric(source, key, given[key])
    lists = {
        name: _check_list(source, name, part, methods, "select", "options", name)
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
    listed = [] if value is None else value
    if not isinstance(listed, list):
        raise GridError(
            f"{source.where('metrics')} = {shown(listed)} is not allowed: it should be "
            "a list of names, such as package.module:function"
        )
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
    if value is None:
        value = ["tab2"]
    if not isinstance(value, list):
        raise GridError(
            f"{source.where('tables')} = {shown(value)} is not allowed: it should be "
            "a list"
        )
    tables: list[TableSpec] = []
    for number, part in enumerate(value):
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
    given = source.mapping(value, *place)
    source.known(given, TableSpec.model_fields, "table key", *place)
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
        raise GridError(f"{where}: {say(error)}") from None


def _check_where(source: Source, value: object, *place: str | int) -> dict[str, Any]:
    """Return a filter of runs whose values their fields can have."""
    given = source.mapping(value, *place)
    known = (*RunConfig.model_fields, *METHOD_OPTIONS, SUPERVISION)
    source.known(given, known, "field of a run", *place)
    for name, part in given.items():
        if name == SUPERVISION:
            source.known([part], SUPERVISIONS, "supervision", *place, name)
        elif part is not None:
            check_value(source.where(*place, name), name, part)
    return given
