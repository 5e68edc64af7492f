"""A table as CSV, LaTeX (booktabs) and plain text, pure."""

import re
from collections.abc import Sequence
from typing import Any

from pandas import DataFrame

from reff_bench.grid.model import Select
from reff_bench.report.tables import Entry, Panel, Table
from reff_bench.report.words import LOWER_IS_BETTER, NOT_RANKED, caption, is_share, show
from texturedmnist.common.latex import escape
from texturedmnist.common.text import align, printable

WIDE = 6  # more columns than these are set smaller, to fit a page
SMALLER = "\\scriptsize\\setlength{\\tabcolsep}{2.5pt}"
FORMULA = re.compile(r"[=@]|[-+](?![\d.])")  # how one begins; a number is none
NUMBERS = ("mean", "std", "n", "planned", "low", "high")


def to_csv(table: Table) -> str:
    """Return one line per number, in full precision; `low`, `high`: 95 % t-interval."""
    spec = table.spec
    settings = list(dict.fromkeys(f for panel in table.panels for f in panel.setting))
    heads = ["selection", *settings, spec.rows, spec.columns, "value", *NUMBERS]
    lines = [
        [
            *(panel.selection, *(panel.setting.get(name) for name in settings)),
            *(row, column, spec.value, *(getattr(entry, name) for name in NUMBERS)),
            " | ".join(entry.missing),
        ]
        for panel in table.panels
        for row in panel.rows
        for column in panel.columns
        for entry in [panel.entries.get((row, column), _NOTHING)]
    ]
    return csv_table([*heads, "missing"], lines)


_NOTHING = Entry(None, None, None, None, 0, 0, ())


def to_latex(table: Table, select: Select) -> str:
    """Return the panels as table environments; needs only the booktabs package."""
    if not table.panels:
        return f"% {table.spec.name}: no run of the grid belongs to this table\n"
    parts = [
        _latex_panel(table, select, panel, number)
        for number, panel in enumerate(table.panels)
    ]
    return "\n".join(["% needs \\usepackage{booktabs}", *parts])


def _latex_panel(table: Table, select: Select, panel: Panel, number: int) -> str:
    spec = table.spec
    lines = [
        [
            escape(show(row)),
            *(_entry(panel, row, c, spec.value, latex=True) for c in panel.columns),
        ]
        for row in panel.rows
    ]
    heads = [escape(spec.rows), *(escape(show(column)) for column in panel.columns)]
    missing = table.missing() if number == 0 else ()
    text = latex_table(
        "l" + "r" * len(panel.columns),
        heads,
        lines,
        caption=caption(spec, select, [panel], counted=True),
        label=spec.name if number == 0 else f"{spec.name}-{number + 1}",
        size=SMALLER if len(heads) > WIDE else "",
    )
    return "".join([*(f"% missing: {printable(line)}\n" for line in missing), text])


def csv_table(heads: list[str], lines: Sequence[Sequence[Any]]) -> str:
    """Return a table as CSV: numbers in full precision, nothing for None.

    Text that a spreadsheet would run as a formula gets a `'` before it.
    """
    frame = DataFrame(map(_harmless, lines), columns=heads, dtype=object)
    return str(frame.to_csv(index=False, lineterminator="\n"))


def _harmless(line: Sequence[Any]) -> list[Any]:
    texts = [printable(one) if isinstance(one, str) else one for one in line]
    return [
        f"'{one}" if isinstance(one, str) and FORMULA.match(one) else one
        for one in texts
    ]


def latex_table(
    columns: str,
    heads: list[str],
    lines: Sequence[Sequence[str]],
    *,
    caption: str,
    label: str,
    size: str = "",
) -> str:
    """Return a table environment (booktabs); all but the caption is LaTeX already."""
    style = DataFrame(lines, columns=heads, dtype=object).style.hide(axis="index")
    text = style.to_latex(
        column_format=columns,
        hrules=True,
        position_float="centering",
        caption=escape(caption),
        label=f"tab:{label}",
    )
    return str(text).replace("\\centering", f"\\centering{size}", 1)


def _entry(
    panel: Panel,
    row: Any,  # noqa: ANN401
    column: Any,  # noqa: ANN401
    value: str,
    *,
    latex: bool = False,
) -> str:
    """Return a number with its spread, and how many seeds it has if not all."""
    entry = panel.entries.get((row, column), _NOTHING)
    if entry.mean is None:
        return "--"
    text, sign = show_number(entry.mean, value), "$\\pm$" if latex else "±"
    if latex and is_best(entry, panel, row, value):
        text = f"\\textbf{{{text}}}"
    if entry.std is not None:
        text += f" {sign} {show_number(entry.std, value)}"
    return text if entry.n == entry.planned else f"{text} ({entry.n})"


def is_best(entry: Entry, panel: Panel, row: Any, value: str) -> bool:  # noqa: ANN401
    """Return whether a row has no better number, as far as it is shown."""
    best = panel.best(row, lowest=value in LOWER_IS_BETTER)
    if value in NOT_RANKED or best is None or entry.mean is None:
        return False
    return show_number(entry.mean, value) == show_number(best, value)


def show_number(number: float, value: str) -> str:
    """Return a number as a table shows it: fractions in per cent."""
    return f"{100 * number:.1f}" if is_share(value) else f"{number:.4g}"


def to_text(table: Table) -> str:
    """Return the panels for a terminal, and which runs are missing."""
    spec = table.spec
    lines: list[str] = []
    for panel in table.panels:
        setting = [f"{k} = {show(v)}" for k, v in panel.setting.items()]
        setting += [f"selected by {panel.selection}"] if panel.selection else []
        unit = " in per cent" if is_share(spec.value) else ""
        lines.append(f"{spec.name}: {spec.value}{unit} {'; '.join(setting)}".rstrip())
        head = [spec.rows, *(show(column) for column in panel.columns)]
        body = [
            [show(row), *(_entry(panel, row, c, spec.value) for c in panel.columns)]
            for row in panel.rows
        ]
        lines += [*align([head, *body], "<" * len(head)), ""]
    if not table.panels:
        lines += [f"{spec.name}: no run of the grid belongs to this table", ""]
    missing = table.missing()
    lines += [f"missing: {line}" for line in missing[:10]]
    if len(missing) > 10:
        lines.append(f"and {len(missing) - 10} more runs; all are in {spec.name}.csv")
    return "\n".join(lines).rstrip()
