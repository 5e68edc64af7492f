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


def used(grid: str) -> dict[str, dict[str, Any]]:
    """By data setting and method the options of a grid, of which each has one."""
    found: dict[str, dict[str, Any]] = {}
    for config in expand(load_grid(ROOT / "grids" / grid)):
        setting = found.setdefault(f"bg {config.bg:g}, tex {config.tex:g}", {})
        options = setting.setdefault(config.method, config.values(TUNED))
        assert options == config.values(TUNED)
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


def test_all_methods_are_compared_with_what_was_best(tuning: pd.DataFrame) -> None:
    first, settings = best(tuning, "val_accuracy"), used("comparison.yaml")
    assert settings["bg 0.05, tex 0"] == first
    for setting in settings.values():
        assert setting == {method: first[method] for method in setting}


def test_the_second_choice_is_there_where_it_differs(tuning: pd.DataFrame) -> None:
    first = best(tuning, "val_accuracy")
    second = best(tuning, "val_shifted_accuracy")
    others = {one: second[one] for one in second if second[one] != first[one]}
    assert used("comparison_shifted.yaml") == {"bg 0.05, tex 0": others}
