"""The comparison's options are those that its tuning found best, and no others."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reff_bench import read_runs
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid

ROOT = Path(__file__).parents[2]
TUNED = [
    *("lr", "weight", "radius", "swap_probability", "group_step"),
    *("first_share", "upweight", "gce_q"),
]


@pytest.fixture(scope="module")
def tuning() -> pd.DataFrame:
    """The runs for tuning, in the order of their grid."""
    return read_runs(ROOT / "results" / "comparison" / "tuning.jsonl")


@pytest.fixture(scope="module")
def used() -> dict[str, dict[str, list[Any]]]:
    """By data setting and method the options of the comparison, in its order."""
    found: dict[str, dict[str, list[Any]]] = {}
    for config in expand(load_grid(ROOT / "grids" / "comparison.yaml")):
        setting = found.setdefault(f"bg {config.bg:g}, tex {config.tex:g}", {})
        options = setting.setdefault(config.method, [])
        if config.values(TUNED) not in options:
            options.append(config.values(TUNED))
    return found


def best(tuning: pd.DataFrame, by: str) -> dict[str, Any]:
    """By method its best options, the first of equals."""
    rows = tuning.loc[tuning.groupby("method")[by].idxmax()]
    options = rows[TUNED].astype(object).where(rows[TUNED].notna(), None)
    return dict(
        zip(rows.method, options.itertuples(index=False, name=None), strict=True)
    )


def test_every_method_has_had_four_trainings(tuning: pd.DataFrame) -> None:
    trained = tuning[tuning.status.isin(["done", "failed"])]
    assert set(trained.method.value_counts()) == {4}


def test_medium_has_both_choices_and_the_rest_the_first(
    tuning: pd.DataFrame, used: dict[str, dict[str, list[Any]]]
) -> None:
    first = best(tuning, "val_accuracy")
    second = best(tuning, "val_shifted_accuracy")
    both = {one: [*dict.fromkeys((first[one], second[one]))] for one in first}
    assert used.pop("bg 0.05, tex 0") == both
    for setting in used.values():
        assert setting == {method: [first[method]] for method in setting}
