"""What a table has to say of itself: its caption, in plain words, pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reff_bench.catalog.methods import METHODS, known_method, method_title
from reff_bench.catalog.metrics import FRACTION, METRICS, known_metric
from reff_bench.grid.config import RunConfig
from reff_bench.grid.marks import OPTIONS
from reff_bench.grid.model import Select, TableSpec
from reff_bench.report.costs import BASELINE, relative_costs
from reff_bench.report.tables import Panel
from reff_bench.results.folder import RunRecord

IMAGENET = "imagenet"
# The first half of a file's sha256 -> what a table has to say of it.
KNOWN_WEIGHTS: Mapping[str, str] = {"2ccaeb0926b9779f": "pruned 8-bit ImageNet weights"}
LOWER_IS_BETTER = {name for name, one in METRICS.items() if one.better == "lower"}
# Neither end is better: where something lies, and chance levels.
NOT_RANKED = {name for name, one in METRICS.items() if one.better is None}
BOLD = "Best of each row in bold; --: no run."
SHORTFALL = "; (n) marks a mean over only n of the planned seeds"
UNITS = {"per_class": "images per class", "total": "images", "percent": "per cent"}


def is_share(value: str) -> bool:
    """Return whether a value is a fraction, printed in per cent."""
    return known_metric(value).unit == FRACTION


def caption(
    spec: TableSpec, select: Select, panels: Sequence[Panel], *, counted: bool = False
) -> str:
    """Return all that a reader must know to read some panels of a table.

    `counted`: `(n)` stands beside a mean over fewer seeds than planned.
    """
    rows = [row for panel in panels for row in panel.configs]
    by, *others = dict.fromkeys(panel.selection for panel in panels)
    per_cent = " in per cent" if is_share(spec.value) else ""
    deviating = deviations(rows)
    parts = [
        f"{title_of(spec)}{per_cent}, {_seeds(panels, counted=counted)}.",
        _setting(panels),
        _digits(rows),
        _randomness(rows),
        _annotations(rows),
        selection_rule(select, by),
        *(f"Further columns: the same, selected by {other}." for other in others),
        _supervision(rows),
        _trainings(panels),
        _costs(rows),
        _notes(rows),
        f"Deviations: {'; '.join(deviating)}." if deviating else "",
        "--: no run." if spec.value in NOT_RANKED else BOLD,
    ]
    ours = {row.method for row in rows if _mark(row) == "ours"}
    if ours:
        names = ", ".join(sorted(method_title(name) for name in ours))
        parts.append(f"{names}: ours, not the paper's.")
    parts.append("Marks: [assumed] our choice where the paper's words are lost.")
    return " ".join(part for part in parts if part)


def title_of(spec: TableSpec) -> str:
    """Return what a table's numbers are."""
    return known_metric(spec.value).title


def selection_rule(select: Select, by: str) -> str:
    """Say how hyper-parameters were chosen."""
    if not by:
        return "Hyper-parameters fixed in the grid, none selected; last epoch."
    tuned = "; ".join(
        f"{name} from {{{', '.join(show(v) for v in values)}}}"
        for name, values in select.options.items()
    )
    return (
        f"Selected per design: {tuned}, by the highest mean {by} over the seeds, never "
        "on the test split; last epoch."
    )


def show(value: Any) -> str:  # noqa: ANN401 (the value of any field)
    """Return a field's value as a table shows it."""
    if value is None:
        return "none"
    if value == "all":
        return "All"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(show(part) for part in value)
    if isinstance(value, str) and (value in METHODS or ":" in value):
        return method_title(value)
    return str(value)


def describe_setting(setting: Mapping[str, Any]) -> str:
    """Return the values that tell runs from others, in words."""
    return ", ".join(f"{name} = {show(value)}" for name, value in setting.items())


def distinct(rows: Iterable[RunRecord], name: str) -> list[Any]:
    """Return the values that a field has, in order, without None."""
    values = dict.fromkeys(row.settings.value(name) for row in rows)
    return [value for value in values if value is not None]


def values_in_words(rows: Iterable[RunRecord], name: str) -> str:
    """Return the values that a field has, as a caption lists them."""
    return _join(distinct(rows, name))


def _mark(row: RunRecord) -> str:
    return known_method(row.method).mark


def _seeds(panels: Sequence[Panel], *, counted: bool) -> str:
    entries = [entry for panel in panels for entry in panel.entries.values()]
    planned = sorted({entry.planned for entry in entries})
    if planned == [1]:
        return "one seed: no spread can be given"
    most = f"{planned[0]}" if len(planned) == 1 else f"{planned[0]} to {planned[-1]}"
    short = any(0 < entry.n < entry.planned for entry in entries)
    note = SHORTFALL if counted and short else ""
    return f"mean ± standard deviation over {most} seeds{note}"


def _setting(panels: Sequence[Panel]) -> str:
    """Return the setting that all panels share, if they are of one."""
    first, *others = (panel.setting for panel in panels)
    if not first or any(other != first for other in others):
        return ""
    return f"{describe_setting(first)}."


def _digits(rows: Sequence[RunRecord]) -> str:
    small = [row for row in rows if row.settings.has_small_digits]
    if not small:
        return ""
    digit, image = (values_in_words(small, f"{one}_size") for one in ("digit", "image"))
    return f"Digits of {digit} px at random places in {image} px."


def _randomness(rows: Sequence[RunRecord]) -> str:
    if not distinct(rows, "bg"):
        return ""
    names = ("bg", "tex", "test_bg", "test_tex")
    bg, tex, test_bg, test_tex = (values_in_words(rows, name) for name in names)
    return (
        f"Background randomness {bg} in training, {test_bg} in the test; digit-texture "
        f"randomness {tex} in training, {test_tex} in the test [assumed]."
    )


def _annotations(rows: Sequence[RunRecord]) -> str:
    units = [UNITS[unit] for unit in distinct(rows, "annotation_unit")]
    values = [value for value in distinct(rows, "annotations") if value != "all"]
    if not values:
        return ""
    return f"Annotations in {_join(units)} [assumed], the others pseudo-annotated."


def describe_supervision(row: RunRecord) -> str:
    """Return what a run's method was given beside images and labels, in words."""
    if not row.uses_masks:
        return row.supervision
    masks = "all masks"
    if row.settings.annotations != "all":
        unit = UNITS[row.settings.annotation_unit]
        masks = f"masks of {row.settings.annotations} {unit}"
    if row.supervision == "deployment masks":
        return f"{masks}, and each image's own when deployed"
    return masks


def _supervision(rows: Sequence[RunRecord]) -> str:
    """Say what each method was given; budgets of masks that vary stand in the table."""
    several = len({row.settings.annotations for row in rows}) > 1
    methods: dict[str, dict[str, None]] = {}
    for row in rows:
        varies = several and row.uses_masks
        words = row.supervision if varies else describe_supervision(row)
        methods.setdefault(words, {})[method_title(row.method)] = None
    parts = (f"{words} ({', '.join(names)})" for words, names in methods.items())
    return f"Supervision: {'; '.join(parts)}."


def _trainings(panels: Sequence[Panel]) -> str:
    """Say how many runs the numbers took, those that tuning has left out included."""
    counts: dict[str, int] = {}
    for panel in panels:  # selections of one setting stand on the same runs
        for method, count in panel.trained.items():
            counts[method] = max(count, counts.get(method, 0))
    if len({*counts.values()}) == 1:
        each = next(iter(counts.values()))
        return f"Trainings of each method, tuning included: {each}."
    parts = (f"{method_title(name)} {count}" for name, count in counts.items())
    return f"Trainings, tuning included: {', '.join(parts)}."


def _costs(rows: Sequence[RunRecord]) -> str:
    """Say how long a training image took beside Baseline's on the same device."""
    costs = relative_costs(rows, lambda row: row.method)
    costs.pop(BASELINE, None)
    parts = (f"{method_title(name)} {cost:.2g}" for name, cost in costs.items())
    return f"Cost of a step, Baseline 1: {', '.join(parts)}." if costs else ""


def _notes(rows: Sequence[RunRecord]) -> str:
    """Return what the runs' records have to say, and of how many."""
    runs = {row.id: row.metrics.get("notes", ()) for row in rows}
    notes = Counter(note for own in runs.values() for note in own)
    return " ".join(f"{note} (runs: {count})." for note, count in notes.items())


def deviations(rows: Sequence[RunRecord]) -> list[str]:
    """Return every setting that is known of the paper and was another here."""
    parts = []
    for name, option in OPTIONS.items():
        if option.paper is None:
            continue
        about = [row for row in rows if _mark(row) != "ours"]
        if option.group == "annotator":
            about = [row for row in about if row.settings.uses_annotator]
        others = [v for v in distinct(about, name) if v != option.paper]
        if name == "weights":
            others = weights_in_words(row.settings for row in about)
        if others:
            kind = "the annotator's " if option.group == "annotator" else ""
            source = "paper" if option.mark in ("paper", "assumed") else "source"
            parts.append(
                f"{kind}{option.meaning} {_join(others)} ({source}: "
                f"{show(option.paper)})"
            )
    return parts


def weights_in_words(runs: Iterable[RunConfig]) -> list[str]:
    """Return the initial weights of some runs that aren't ImageNet's of a catalog.

    A file goes by its name, or by what is known of its content.
    """
    found: dict[str, None] = {}
    for run in runs:
        if run.weights is None:
            found["none, from scratch"] = None
        elif run.weights != IMAGENET:
            name = Path(run.weights).name
            known = KNOWN_WEIGHTS.get(str(run.weights_identity)[:16])
            found[f"{known} ({name})" if known else name] = None
    return [*found]


def _join(values: Sequence[Any]) -> str:
    return ", ".join(show(value) for value in values)
