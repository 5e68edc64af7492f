"""What tells runs apart that one table can't show together, pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reff_bench.grid.config import RunConfig, run_fields
from reff_bench.results.folder import RunRecord

# Never a reason to split a table: identities follow the fields that they stand for,
# and what isn't part of a run's id makes no other run.
NOT_SETTINGS = (
    *("record_version", "data_identity", "weights_identity", "root", "seed"),
    "loader_workers",
)


def telling_fields(
    rows: Sequence[RunRecord], axes: Iterable[str], tuned: Iterable[str]
) -> tuple[str, ...]:
    """Return the fields in which runs of one method and place differ, but for the seed.

    So the seed is all that runs of one method, place (a value of each axis) and setting
    differ in. What selection has tuned tells nothing apart.
    """
    axes = (*axes,)
    # `supervision` may be an axis, and follows from the method.
    names = dict.fromkeys((*run_fields(row.settings for row in rows), *axes))
    every = zip(*(values_of(row, names) for row in rows), strict=True)
    columns = dict(zip(names, every, strict=False))
    varied = [name for name, column in columns.items() if len({*column}) > 1]
    without = {*axes, *NOT_SETTINGS, *tuned}
    fields: list[str] = []
    for name in varied:
        places = [columns[key] for key in (*axes, "method", *fields)]
        if name not in without and _count(*places, columns[name]) > _count(*places):
            fields.append(name)
    return tuple(fields)


def _count(*columns: Iterable[Any]) -> int:
    """Return how many combinations of values there are."""
    return len({*zip(*columns, strict=True)})


def values_of(row: RunRecord, fields: Iterable[str]) -> tuple[Any, ...]:
    """Return some fields of a run's settings."""
    return row.settings.values(fields)


def settings_of(
    rows: Sequence[RunRecord], fields: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield each combination of values; an option that a method lacks is in all.

    A run that lacks an option and is in none of the others' settings has its own.
    """
    seen: list[dict[str, Any]] = []
    lacking: list[dict[str, Any]] = []
    for values in dict.fromkeys(values_of(row, fields) for row in rows):
        setting = dict(zip(fields, values, strict=True))
        whole = all(value is not None for value in _options(setting))
        (seen if whole else lacking).append(setting)
    for own in lacking:
        if not any(
            all(_agree(name, own[name], value) for name, value in setting.items())
            for setting in seen
        ):
            seen.append({name: own[name] for name in fields if own[name] is not None})
    yield from seen


def _options(setting: Mapping[str, Any]) -> list[Any]:
    return [
        value for name, value in setting.items() if name not in RunConfig.model_fields
    ]


def is_in(row: RunRecord, setting: Mapping[str, Any]) -> bool:
    """Return whether a run belongs to a setting."""
    return all(
        _agree(name, row.settings.value(name), value) for name, value in setting.items()
    )


def _agree(name: str, own: Any, value: Any) -> bool:  # noqa: ANN401
    return bool(own == value) or (own is None and name not in RunConfig.model_fields)
