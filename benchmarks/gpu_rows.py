"""From what a benchmark has written to its rows of one table."""

from collections.abc import Iterator
from typing import Any

Result = dict[str, Any]  # with the name of its `part` and its `wall_seconds`
Row = list[str]  # part, what, value, asked


def compared_rows(result: Result) -> Iterator[Row]:
    """Yield the speed of every contender, all ratios, and what was found beside."""
    part = result["part"]
    for name, laps in result["laps"].items():
        yield [part, name, f"{_rate(laps):,.0f} images/s", ""]
    for ratio in result["ratios"]:
        yield [part, ratio["name"], f"{ratio['median']:.2f}", ratio["asked"]]
    for note in result["notes"]:
        yield [part, note, "", ""]


def training_rows(result: Result) -> Iterator[Row]:
    """Yield what each method's training took."""
    part = result["part"]
    for one in result["passes"]:
        busy = one["busy_share"]
        values = {
            "training": f"{one['images_per_second']:,.0f} images/s",
            "peak memory": f"{one['peak_memory_bytes'] / 2**20:,.0f} MiB",
            "data stall": f"{100 * one['data_stall_share']:.1f} %",
            "GPU busy": "not known" if busy is None else f"{100 * busy:.0f} %",
        }
        for what, value in values.items():
            asked = "< 3 %" if what == "data stall" else ""
            yield [part, f"{one['method']}: {what}", value, asked]


def run_rows(result: Result) -> Iterator[Row]:
    """Yield how many runs an hour holds."""
    part, rate = result["part"], 4 * 3600 / result["wall_seconds"]
    what = f"small runs, {part.removeprefix('cells_')} at once"
    yield [part, what, f"{rate:,.0f} cells/hour", ""]


def _rate(laps: list[dict[str, float]]) -> float:
    rates = sorted(lap["samples"] / lap["seconds"] for lap in laps)
    return rates[len(rates) // 2]
