"""The table of all methods: as plain data for the page, as CSV and as LaTeX, pure."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import compress
from typing import Any

from reff_bench.catalog.methods import SUPERVISIONS, known_method, method_title
from reff_bench.catalog.metrics import METRICS
from reff_bench.report.comparison import RANKED, SHOWN, Comparison, Line
from reff_bench.report.design import describe_network
from reff_bench.report.render import SMALLER, csv_table, latex_table, show_number
from reff_bench.report.statistics import Interval, Rank
from reff_bench.report.words import LOWER_IS_BETTER, describe_supervision
from texturedmnist.common.latex import escape

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HEADS = {  # of the values, short: what they are stands below
    "test_accuracy": "Test accuracy, %",
    "val_accuracy": "Val accuracy, %",
    "worst_group_accuracy": "Worst group, %",
    "background_gap": "Background gap, %",
    "flip_rate": "Flip rate, %",
    "epg": "EPG, %",
}
# Sorted the other way round at first: less is better.
LOWER = {
    *("Trainings", "Step", "Rank"),
    *(head for name, head in HEADS.items() if name in LOWER_IS_BETTER),
}
COST = (
    "Trainings: of the method on these data, with this supervision and network and "
    "whatever options, in the same files: what it took to find the ones shown. Step: "
    "time of a training image, in Baseline's on the same device and in the same file "
    "(processor time where the records have it); --: no Baseline was run there."
)
RANKS = (
    "Rank: by test accuracy within a data setting, 1 is the best, averaged over the "
    "seeds that its rows share; --: a row without one of these seeds. Square brackets: "
    "95 % t-intervals over the seeds, none for one seed."
)


def methods_content(found: Comparison) -> dict[str, Any]:
    """Return what the templates show of a comparison."""
    letters = {data: _letter(number) for number, data in enumerate(found.data)}
    names = _names(found)
    sources = dict.fromkeys(source for line in found.lines for source in line.sources)
    columns = [
        *("Method", "Options", "Supervision", "Network", "Data", "Seeds", "Trainings"),
        *("Step", *(HEADS[name] for name in names[:1]), "Rank"),
        *(*(HEADS[name] for name in names[1:]), "Source"),
    ]
    lines = [[*_cells(line, letters, names)] for line in found.lines]
    # A column that says nothing or the same in every row can do without.
    droppable = {"Options", "Network", "Data", "Source"}
    kept = [
        head not in droppable or len({line[n]["text"] for line in lines}) > 1
        for n, head in enumerate(columns)
    ]
    return {
        "sources": [*sources],
        "words": [*_words(found, len(sources))],
        "data": [
            (letters[data], words, _seeds(found.seeds[data]))
            for data, words in found.data.items()
        ],
        "contradictions": found.contradictions,
        "filters": [*_filters(found, letters)],
        "heads": [(head, head in LOWER) for head in compress(columns, kept)],
        "lines": [
            {
                "filters": {
                    "supervision": line.first.supervision,
                    "data": letters[line.data],
                },
                "cells": [*compress(cells, kept)],
            }
            for line, cells in zip(found.lines, lines, strict=True)
        ],
        "notes": [
            *(COST, RANKS),
            "; ".join(f"{HEADS[n].split(',')[0]}: {METRICS[n].title}" for n in names),
        ],
    }


def methods_csv(found: Comparison) -> str:
    """Return one line per row, in full precision; `low`, `high`: 95 % t-intervals."""
    names = _names(found)
    ends = ("", "_low", "_high")
    heads = [
        *("method", "options", "supervision", "network", "data", "seeds", "planned"),
        *("trainings", "step_cost", "cost", *(f"rank{end}" for end in ends)),
        *(f"{name}{end}" for name in names for end in ends),
        *("selection", "sources"),
    ]
    lines = []
    for line in found.lines:
        rank = line.rank
        values = [
            [line.mean(name), *(line.interval(name) or (None, None))] for name in names
        ]
        about = (line.first.method, line.options, describe_supervision(line.first))
        lines.append(
            [
                *(*about, describe_network(line.first.settings), found.data[line.data]),
                *(len(line.runs), line.planned, line.trainings),
                *(line.step_cost, line.cost),
                *((rank.mean, rank.low, rank.high) if rank else (None, None, None)),
                *(value for three in values for value in three),
                "" if line.is_final else "not final",
                " | ".join(line.sources),
            ]
        )
    return csv_table(heads, lines)


def methods_latex(found: Comparison) -> str:
    """Return what the page shows as LaTeX (booktabs)."""
    content = methods_content(found)
    heads = [escape(head) for head, _ in content["heads"]]
    lines = [
        [escape(f"{cell['text']} {cell['note']}".rstrip()) for cell in line["cells"]]
        for line in content["lines"]
    ]
    data = [f"Data {name}: {words}. {seeds}" for name, words, seeds in content["data"]]
    caption = " ".join([*content["words"], *map(str.rstrip, data), *content["notes"]])
    columns = "l" + "r" * (len(heads) - 1)
    table = latex_table(
        columns, heads, lines, caption=caption, label="methods", size=SMALLER
    )
    return "% needs \\usepackage{booktabs}\n" + table


def _names(found: Comparison) -> list[str]:
    """Return the metrics that any row has."""
    return [name for name in SHOWN if any(line.values(name) for line in found.lines)]


def _letter(number: int) -> str:
    """Return A to Z, then A1, B1 and so on."""
    turn, place = divmod(number, len(LETTERS))
    return LETTERS[place] + (str(turn) if turn else "")


def _words(found: Comparison, sources: int) -> Iterator[str]:
    runs = sum(len(line.runs) for line in found.lines)
    files = f" of {sources} files or folders" if sources > 1 else ""
    yield f"{runs} finished runs{files}, a row for each method and setting."
    yield "Only seeds are pooled."
    if found.tuning:
        yield f"Trainings of {', '.join(found.tuning)} count as tuning on other data."
    if found.unfinished:
        yield f"Further settings without a finished run: {found.unfinished}."


def _seeds(seeds: Iterable[int]) -> str:
    listed = ", ".join(map(str, seeds))
    return f"Ranks over the seeds {listed}." if listed else ""


def _filters(
    found: Comparison, letters: Mapping[str, str]
) -> Iterator[tuple[str, str, list[str]]]:
    given = {line.first.supervision for line in found.lines}
    kinds: dict[str, list[str]] = {
        "supervision": [one for one in SUPERVISIONS if one in given],
        "data": [*letters.values()],
    }
    for name, values in kinds.items():
        if len(values) > 1:
            yield name, name.capitalize(), values


def _cells(
    line: Line, letters: Mapping[str, str], names: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Yield a line's cells in the order of the columns."""
    ours = " (ours)" if known_method(line.first.method).mark == "ours" else ""
    yield _cell(method_title(line.first.method) + ours)
    yield _cell(line.options, note="" if line.is_final else "selection not final")
    yield _cell(describe_supervision(line.first))
    yield _cell(describe_network(line.first.settings))
    yield _cell(letters[line.data])
    yield _number(
        len(line.runs),
        str(len(line.runs)),
        "" if len(line.runs) == line.planned else f"of {line.planned}",
    )
    yield _number(line.trainings, str(line.trainings))
    yield _number(line.step_cost, f"{line.step_cost or 0:.2g}")
    for name in names:
        mean, within = line.mean(name), line.interval(name)
        bounds = _bounds(within, name) if name == RANKED else ""
        yield _number(mean, show_number(mean or 0.0, name), bounds)
        if name == RANKED:
            yield _rank(line.rank)
    yield _cell(", ".join(line.sources))


def _rank(rank: Rank | None) -> dict[str, Any]:
    if rank is None:
        return _number(None, "")
    bounds = "" if rank.low is None else f"[{rank.low:.1f}, {rank.high:.1f}]"
    return _number(rank.mean, f"{rank.mean:.1f}", bounds)


def _bounds(within: Interval | None, name: str) -> str:
    if within is None:
        return ""
    low, high = max(0.0, within.low), min(1.0, within.high)
    return f"[{show_number(low, name)}, {show_number(high, name)}]"


def _number(value: float | None, text: str, note: str = "") -> dict[str, Any]:
    if value is None:
        return _cell("--")
    return _cell(text, value, note)


def _cell(text: str, value: float | None = None, note: str = "") -> dict[str, Any]:
    return {"text": text, "value": value, "note": note}
