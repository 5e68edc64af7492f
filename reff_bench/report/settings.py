"""What tells runs apart that one table can't show together, pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reff_bench.grid import Cell, run_fields
from reff_bench.results import Record

# Never a reason to split a table: identities follow the fields that they stand for,
# and what isn't part of a run's id makes no other run.
NOT_SETTINGS = (
    *("record_version", "data_identity", "weights_identity", "root", "seed"),
    "loader_workers",
)


def telling_fields(
    rows: Sequence[Record], axes: Iterable[str], tuned: Iterable[str]
) -> tuple[str, ...]:
    """Return the fields in which runs of one method and place differ, but for the seed.

    So the seed is all that runs of one method, place and setting differ in.

    Args:
        rows: the runs.
        axes: the fields that make a place, such as `annotations`.
        tuned: options that selection has chosen.
    """
    without = {*axes, *NOT_SETTINGS, *tuned}
    fields: list[str] = []
    for name in run_fields(rows):
        if name in without:
            continue
        keys = (*axes, "method", *fields)
        values: dict[tuple[Any, ...], set[str]] = {}
        for row in rows:
            place = tuple(repr(row.get(key)) for key in keys)
            values.setdefault(place, set()).add(repr(row.get(name)))
        if any(len(several) > 1 for several in values.values()):
            fields.append(name)
    return tuple(fields)


def settings_of(
    rows: Sequence[Record], fields: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield each combination of values; an option that a method lacks is in all.

    A run that lacks an option and is in none of the others' settings has its own.
    """
    seen: list[dict[str, Any]] = []
    lacking: list[Record] = []
    for row in rows:
        setting = {name: row.get(name) for name in fields}
        if any(row.get(f) is None and f not in Cell.model_fields for f in fields):
            lacking.append(row)
        elif setting not in seen:
            seen.append(setting)
    for row in lacking:
        if not any(is_in(row, setting) for setting in seen):
            seen.append({n: row[n] for n in fields if row.get(n) is not None})
    yield from seen


def is_in(row: Record, setting: Mapping[str, Any]) -> bool:
    """Return whether a run belongs to a setting."""
    return all(
        row.get(name) == value
        or (row.get(name) is None and name not in Cell.model_fields)
        for name, value in setting.items()
    )
