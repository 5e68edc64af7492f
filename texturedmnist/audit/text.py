"""An audit's report as plain text."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from texturedmnist.audit.rates import (
    BY_CHANCE,
    BY_KNOB,
    BY_LABEL,
    DRAWS,
    FILES,
    OVERALL,
    UNIFORM,
)
from texturedmnist.audit.report import AuditReport, Check
from texturedmnist.common.text import align

# What holds if a check that counts exceptions passes.
MEANINGS: Mapping[str, str] = {
    "one list of names": "all shards list the same classes and files",
    "labels in range": "labels are 0 to 9",
    "numbers in range": "classes and files have a name, draws lie in [0, 1)",
    "index": "indices count from 0 without a gap",
    "group table": "the manifest's group sizes hold when counted again",
    "aligned flags": "flags agree with the assignment",
    "files of class": "every texture file is of the sample's class",
    "choice follows draw": "other draws than those below the randomness: assigned",
    "one label per digit": "a digit image has one label wherever it is used",
    "digits apart": "no digit image is in two of train, val and test",
    "texture files apart": "no texture file is in two of train, val and test",
    "textures apart across roles": "nor is one background here and digit there",
    "pictures apart": "nor is one picture in two under several names",
    "same digits": "val_shifted repeats the digits of val",
    "same choices": "val_shifted changes no more than its randomness asks for",
    "class names the label": "at randomness 0 the class gives the label",
}
SHARES: Mapping[str, str] = {
    DRAWS: "Share of samples whose draw is below the randomness",
    OVERALL: "Share of samples whose class isn't assigned to their label",
}
SIMULATED: Mapping[str, str] = {
    BY_CHANCE: "Bits that the class says of the label; asked: what chance gives\n"
    "(must not be above chance at randomness 1; only shown at another randomness)",
    BY_KNOB: "Bits that the class says of the label; asked: what randomness gives",
    UNIFORM: "Classes drawn from all: chi-square against equal shares",
}
HEAD = ("split", "texture", "asked", "found", "range", "p", "verdict")
SIDES = "<<>>>><"


def format_report(report: AuditReport) -> str:
    """Return the report as text of at most 88 columns, without a final newline."""
    blocks = [
        _format_head(report),
        _format_exact(report.checks),
        _format_method(report),
        *(_format_section(report.checks, name) for name in SHARES),
        _format_labels(report.checks),
        *(_format_section(report.checks, name) for name in SIMULATED),
        _format_notes(report.checks),
        _format_groups(report),
        _format_result(report),
    ]
    return "\n\n".join(block for block in blocks if block)


def _format_head(report: AuditReport) -> str:
    rows = []
    for name, count in report.counts.items():
        bg, tex = (report.randomness[name][kind] for kind in ("bg", "tex"))
        rows.append((name, str(count), f"{bg:g}", f"{tex:g}"))
    title = f"Audit of {report.folder}\nidentity {report.identity}"
    return _table(title, ("split", "samples", "bg", "tex"), rows, "<>>>")


def _format_exact(checks: Sequence[Check]) -> str:
    rows = []
    for name, meaning in MEANINGS.items():
        verdicts = [check.verdict for check in checks if check.name == name]
        if verdicts:
            passed = f"{verdicts.count('passed')} of {len(verdicts)}"
            rows.append((passed, name, meaning))
    return _table("Without exception (passed)", None, rows, "><<")


def _format_method(report: AuditReport) -> str:
    if not any(check.name in SHARES for check in report.checks):
        return "Nothing more can be checked before these numbers are sound."
    return (
        "Up to chance. All of these pass in a sound dataset with a probability of at\n"
        f"least {1 - report.false_alarm:.1%} (Bonferroni). Shares: exact binomial "
        "range, two-sided.\nBits and chi-square: range of 99.9% of simulated data; "
        "the p-value decides."
    )


def _format_section(checks: Sequence[Check], name: str) -> str:
    digits = 1 if name == UNIFORM else 4
    rows = [
        (
            check.split,
            check.texture,
            *_numbers(check, digits),
            "shown" if check.verdict == "note" else check.verdict,
        )
        for check in checks
        if check.name == name
    ]
    return _table({**SHARES, **SIMULATED}[name], HEAD, rows, SIDES)


def _format_labels(checks: Sequence[Check]) -> str:
    """Fold the shares by label into one row per split and texture."""
    by_label = [check for check in checks if check.name == BY_LABEL]
    rows = []
    for place in dict.fromkeys((check.split, check.texture) for check in by_label):
        here = [check for check in by_label if (check.split, check.texture) == place]
        passed = sum(check.verdict == "passed" for check in here)
        least = min(here, key=lambda check: check.p_value or 0)
        passes = f"{passed} of {len(here)}"
        rows.append((*place, passes, str(least.label), *_numbers(least, 4)))
    head = ("split", "texture", "passed", "label", *HEAD[2:6])
    title = "The same for each label (shown: the label with the smallest p-value)"
    return _table(title, head, rows, "<<>>>>>>")


def _numbers(check: Check, digits: int) -> tuple[str, ...]:
    """Return the cells of what was asked and found, the range and the p-value."""
    asked, found, low, high = (
        f"{value:.{digits}f}"
        for value in (check.asked, check.found, check.low, check.high)
    )
    p_value = "" if check.p_value is None else f"{check.p_value:.2g}"
    return asked, found, f"{low} .. {high}", p_value


def _format_notes(checks: Sequence[Check]) -> str:
    rows = [
        (check.split, check.texture, check.explanation)
        for check in checks
        if check.name == FILES
    ]
    return _table("Use of texture files (only shown)", None, rows, "<<<")


def _format_groups(report: AuditReport) -> str:
    """Lay out the groups: a row per split and label, a column per pair of flags."""
    counts: dict[tuple[str, int], list[int]] = {}
    for group in report.groups:
        counts.setdefault((group.split, group.label), []).append(group.count)
    rows = [
        (split, str(label), *map(str, here), str(sum(here)))
        for (split, label), here in counts.items()
    ]
    head = ("split", "label", "neither", "digit only", "background only", "both", "all")
    title = "Samples by label and by which texture's class is assigned to it"
    return _table(title, head, rows, "<>>>>>>")


def _format_result(report: AuditReport) -> str:
    if report.passed:
        return f"PASSED: {len(report.checks)} checks, none failed"
    lines = [f"FAILED: {len(report.failed)} of {len(report.checks)} checks"]
    for check in report.failed:
        where = ", ".join(part for part in (check.split, check.texture) if part)
        line = f"{check.name} ({where}): {check.explanation}"
        lines += wrap(line, 88, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def _table(
    title: str,
    head: tuple[str, ...] | None,
    rows: Sequence[tuple[str, ...]],
    sides: str,
) -> str:
    """Return rows under their title and head; nothing if there are none."""
    if not rows:
        return ""
    whole = rows if head is None else [head, *rows]
    return "\n".join([title, *(f"  {line}" for line in align(whole, sides))])
