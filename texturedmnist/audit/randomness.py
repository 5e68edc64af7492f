"""Whether textures are as random as the randomness asks, by what came out."""

from collections.abc import Sequence

import numpy as np

from texturedmnist.audit.chance import Range, bound_count
from texturedmnist.audit.columns import LABELS, Choice, Split
from texturedmnist.audit.report import Check, Verdict

DRAWS = "draws below the randomness"
OVERALL = "unassigned classes"
BY_LABEL = "unassigned classes by label"


def check_randomness(
    choices: Sequence[tuple[Split, Choice]], false_alarm: float
) -> list[Check]:
    """Compare rates with the randomness.

    A sample's class isn't assigned to its label with probability randomness * (1 - t /
    C), with t of the C classes assigned to the label. Each label is compared on its
    own, and all together, with the exact distribution of the count.

    Args:
        choices: both textures of every split.
        false_alarm: shared by all rates but those of a randomness 0, which leaves no
            choice.
    """
    tests = sum(
        2 + len(np.unique(choice.label))
        for _, choice in choices
        if choice.randomness > 0
    )
    level = false_alarm / max(tests, 1)
    checks = []
    for split, choice in choices:
        checks.append(_check_draws(split, choice, level))
        checks += _check_rates(split, choice, level)
    return checks


def _check_draws(split: Split, choice: Choice, level: float) -> Check:
    found, total = int((choice.draw < choice.randomness).sum()), len(choice.draw)
    bound = bound_count(found, [total], [choice.randomness], level)
    return _rate_check(DRAWS, split, choice, found, total, bound)


def _check_rates(split: Split, choice: Choice, level: float) -> list[Check]:
    assigned = choice.texture.assigned
    chances = choice.randomness * (1 - assigned.sum(axis=1) / assigned.shape[1])
    totals = np.bincount(choice.label, minlength=LABELS)
    found = np.bincount(choice.label[~choice.aligned], minlength=LABELS)
    whole = bound_count(int(found.sum()), totals.tolist(), chances.tolist(), level)
    checks = [
        _rate_check(OVERALL, split, choice, int(found.sum()), int(totals.sum()), whole)
    ]
    for label in np.flatnonzero(totals).tolist():
        count, total = int(found[label]), int(totals[label])
        bound = bound_count(count, [total], [float(chances[label])], level)
        checks.append(_rate_check(BY_LABEL, split, choice, count, total, bound, label))
    return checks


def _rate_check(
    name: str,
    split: Split,
    choice: Choice,
    found: int,
    total: int,
    bound: Range,
    label: int | None = None,
) -> Check:
    of = "" if label is None else f" of label {label}"
    verb = (
        "draw below the randomness"
        if name == DRAWS
        else "have a class that isn't assigned"
    )
    verdict: Verdict = "passed" if bound.low <= found <= bound.high else "failed"
    return Check(
        name=name,
        split=split.name,
        texture=choice.texture.name,
        asked=bound.mean / total,
        found=found / total,
        low=bound.low / total,
        high=bound.high / total,
        p_value=bound.p_value,
        verdict=verdict,
        explanation=(
            f"{found} of {total} samples{of} {verb}, {bound.low:g} to {bound.high:g} "
            "are within bounds."
        ),
        label=label,
    )
