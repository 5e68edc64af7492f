"""Whether textures are as random as the randomness asks, up to chance."""

from collections.abc import Sequence

import numpy as np

from texturedmnist.audit.chance import (
    Range,
    bound_count,
    bound_value,
    conditional_entropy,
    draw_table,
    draw_unevenness,
    mutual_information,
    permute_table,
    unevenness,
)
from texturedmnist.audit.columns import LABELS, Choice
from texturedmnist.audit.report import Check, Verdict, count_check

DRAWS = "draws below the randomness"
OVERALL = "unassigned classes"
BY_LABEL = "unassigned classes by label"
BY_CHANCE = "information, by chance"
BY_KNOB = "information, by the randomness"
UNIFORM = "free classes uniform"
FILES = "use of files"


def check_randomness(choices: Sequence[Choice], false_alarm: float) -> list[Check]:
    """Compare rates with the randomness, for both textures of every split.

    A sample's class isn't assigned to its label with probability randomness * (1 - t /
    C), with t of the C classes assigned to the label. Each label is compared on its
    own, and all together, with the exact distribution of the count. All rates share
    `false_alarm` but those of a randomness 0, which leaves no choice.
    """
    drawn = [choice for choice in choices if choice.randomness > 0]
    tests = sum(2 + len(np.unique(choice.label)) for choice in drawn)
    level = false_alarm / max(tests, 1)
    checks = []
    for choice in choices:
        found, total = int((choice.draw < choice.randomness).sum()), len(choice.draw)
        bound = bound_count(found, [total], [choice.randomness], level)
        checks.append(_check_rate(DRAWS, choice, found, total, bound))
        checks += _check_unassigned(choice, level)
    return checks


def check_information(
    choices: Sequence[Choice], level: float, rng: np.random.Generator
) -> list[Check]:
    """Measure the mutual information of class and label in bits.

    It is compared with what shuffled classes give by chance, and with what is to be
    expected under the randomness. At randomness 1 both are one question, and chance
    decides. At randomness 0 the class must name the label: no entropy is left.
    """
    checks = []
    for choice in choices:
        checks.append(_compare_with_chance(choice, level, rng))
        if choice.randomness < 1:
            checks.append(_compare_with_randomness(choice, level, rng))
        if choice.randomness == 0:
            left = conditional_entropy(choice.tabulate())
            text = f"Given the class, {left:.4g} bits of the label stay open."
            name, texture = "class names the label", choice.texture.name
            checks.append(count_check(name, choice.split, texture, left, text))
    return checks


def check_usage(
    choices: Sequence[Choice], level: float, rng: np.random.Generator
) -> list[Check]:
    """Compare the classes of draws below the randomness with uniform ones."""
    drawn = [choice for choice in choices if (choice.draw < choice.randomness).any()]
    checks = [_check_uniform(choice, level, rng) for choice in drawn]
    return checks + [_note_files(choice) for choice in choices]


def _check_unassigned(choice: Choice, level: float) -> list[Check]:
    assigned = choice.texture.assigned
    chances = choice.randomness * (1 - assigned.sum(axis=1) / assigned.shape[1])
    totals = np.bincount(choice.label, minlength=LABELS)
    found = np.bincount(choice.label[~choice.aligned], minlength=LABELS)
    whole = bound_count(int(found.sum()), totals.tolist(), chances.tolist(), level)
    checks = [_check_rate(OVERALL, choice, int(found.sum()), int(totals.sum()), whole)]
    for label in np.flatnonzero(totals).tolist():
        count, total = int(found[label]), int(totals[label])
        bound = bound_count(count, [total], [float(chances[label])], level)
        checks.append(_check_rate(BY_LABEL, choice, count, total, bound, label))
    return checks


def _check_rate(
    name: str,
    choice: Choice,
    found: int,
    total: int,
    bound: Range,
    label: int | None = None,
) -> Check:
    of = "" if label is None else f" of label {label}"
    kind = "have a class that isn't assigned"
    verb = "draw below the randomness" if name == DRAWS else kind
    return Check(
        name=name,
        split=choice.split,
        texture=choice.texture.name,
        asked=bound.mean / total,
        found=found / total,
        low=bound.low / total,
        high=bound.high / total,
        p_value=bound.p_value,
        verdict="passed" if bound.low <= found <= bound.high else "failed",
        explanation=(
            f"{found} of {total} samples{of} {verb}, {bound.low:g} to {bound.high:g} "
            "are within bounds."
        ),
        label=label,
    )


def _compare_with_chance(
    choice: Choice, level: float, rng: np.random.Generator
) -> Check:
    table = choice.tabulate()
    found = float(mutual_information(table))
    decides = choice.randomness == 1
    sample = permute_table(table, rng)
    bound = bound_value(found, sample, level if decides else 1, two_sided=False)
    text = (
        f"Shuffled classes say {bound.mean:.4g} bits of the label on average, these "
        f"{found:.4g}."
    )
    verdict = _judge(bound, level) if decides else "note"
    return _simulated(BY_CHANCE, choice, found, bound, verdict, text)


def _compare_with_randomness(
    choice: Choice, level: float, rng: np.random.Generator
) -> Check:
    table, assigned = choice.tabulate(), choice.texture.assigned
    found = float(mutual_information(table))
    chances = choice.randomness / assigned.shape[1] + (1 - choice.randomness) * (
        assigned / assigned.sum(axis=1, keepdims=True)
    )
    sample = draw_table(table.sum(axis=1), chances, rng)
    bound = bound_value(found, sample, level, two_sided=True)
    text = (
        f"At {choice.texture.randomness} {choice.randomness:g} the class says "
        f"{bound.mean:.4g} bits of the label on average, here {found:.4g}."
    )
    return _simulated(BY_KNOB, choice, found, bound, _judge(bound, level), text)


def _check_uniform(choice: Choice, level: float, rng: np.random.Generator) -> Check:
    free = choice.number[choice.draw < choice.randomness]
    classes = len(choice.texture.classes)
    counts = np.bincount(free, minlength=classes)
    found = float(unevenness(counts))
    sample = draw_unevenness(len(free), classes, rng)
    bound = bound_value(found, sample, level, two_sided=False)
    text = (
        f"{len(free)} samples drew from all {classes} classes, {counts.min()} to "
        f"{counts.max()} times each."
    )
    return _simulated(UNIFORM, choice, found, bound, _judge(bound, level), text)


def _note_files(choice: Choice) -> Check:
    """Count the uses of each file among the files of its class in this split.

    Files are numbered by part (train, val, test) and class, so neighbors of one class
    are of one part.
    """
    kind = choice.texture.file_class
    block = np.cumsum(np.diff(kind, prepend=kind[:1]) != 0)
    uses = np.bincount(choice.file, minlength=len(kind))
    of_block = np.bincount(block, weights=uses)
    mean = (of_block / np.bincount(block))[block]
    here = mean > 0
    uses, mean = uses[here], mean[here]
    text = (
        f"{(uses > 0).sum()} of {len(uses)} files, each {uses.min()} to {uses.max()} "
        f"times (mean {uses.mean():.1f})."
    )
    low, high = float((uses / mean).min()), float((uses / mean).max())
    name, texture = FILES, choice.texture.name
    return Check(name, choice.split, texture, 1, high, low, high, None, "note", text)


def _judge(bound: Range, level: float) -> Verdict:
    return "passed" if bound.p_value > level else "failed"


def _simulated(
    name: str, choice: Choice, found: float, bound: Range, verdict: Verdict, text: str
) -> Check:
    place = name, choice.split, choice.texture.name
    measured = bound.mean, found, bound.low, bound.high, bound.p_value
    return Check(*place, *measured, verdict, text)
