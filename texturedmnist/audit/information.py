"""How much a texture's class says of the label, against chance and the randomness."""

from collections.abc import Sequence

import numpy as np

from texturedmnist.audit.chance import (
    Range,
    bound_value,
    conditional_entropy,
    draw_table,
    mutual_information,
    permute_table,
)
from texturedmnist.audit.columns import Choice, Split
from texturedmnist.audit.report import Check, Verdict

BY_CHANCE = "information, by chance"
BY_KNOB = "information, by the randomness"


def check_information(
    choices: Sequence[tuple[Split, Choice]], level: float, rng: np.random.Generator
) -> list[Check]:
    """Measure the mutual information of class and label in bits.

    It is compared with what shuffled classes give by chance, and with what is to be
    expected under the randomness. At randomness 1 both are one question, and chance
    decides. At randomness 0 the class must name the label: no entropy is left.

    Args:
        choices: both textures of every split.
        level: significance of each comparison.
        rng: draws the tables to compare with.
    """
    checks = []
    for split, choice in choices:
        checks.append(_compare_with_chance(split, choice, level, rng))
        if choice.randomness < 1:
            checks.append(_compare_with_knob(split, choice, level, rng))
        if choice.randomness == 0:
            checks.append(_check_entropy(split, choice))
    return checks


def _compare_with_chance(
    split: Split, choice: Choice, level: float, rng: np.random.Generator
) -> Check:
    table = choice.tabulate()
    found = float(mutual_information(table))
    decides = choice.randomness == 1
    sample = permute_table(table, rng)
    bound = bound_value(found, sample, level if decides else 1, two_sided=False)
    verdict: Verdict = "passed" if bound.p_value > level else "failed"
    text = (
        f"Shuffled classes say {bound.mean:.4g} bits of the label on average, these "
        f"{found:.4g}."
    )
    shown = verdict if decides else "note"
    return _information_check(BY_CHANCE, split, choice, found, bound, shown, text)


def _compare_with_knob(
    split: Split, choice: Choice, level: float, rng: np.random.Generator
) -> Check:
    table, assigned = choice.tabulate(), choice.texture.assigned
    found = float(mutual_information(table))
    chances = choice.randomness / assigned.shape[1] + (1 - choice.randomness) * (
        assigned / assigned.sum(axis=1, keepdims=True)
    )
    sample = draw_table(table.sum(axis=1), chances, rng)
    bound = bound_value(found, sample, level, two_sided=True)
    verdict: Verdict = "passed" if bound.p_value > level else "failed"
    text = (
        f"At {choice.texture.randomness} {choice.randomness:g} the class says "
        f"{bound.mean:.4g} bits of the label on average, here {found:.4g}."
    )
    return _information_check(BY_KNOB, split, choice, found, bound, verdict, text)


def _information_check(
    name: str,
    split: Split,
    choice: Choice,
    found: float,
    bound: Range,
    verdict: Verdict,
    explanation: str,
) -> Check:
    return Check(
        name=name,
        split=split.name,
        texture=choice.texture.name,
        asked=bound.mean,
        found=found,
        low=bound.low,
        high=bound.high,
        p_value=bound.p_value,
        verdict=verdict,
        explanation=explanation,
    )


def _check_entropy(split: Split, choice: Choice) -> Check:
    left = conditional_entropy(choice.tabulate())
    verdict: Verdict = "failed" if left else "passed"
    text = f"Given the class, {left:.4g} bits of the label stay open."
    return Check(
        name="class names the label",
        split=split.name,
        texture=choice.texture.name,
        asked=0,
        found=left,
        low=0,
        high=0,
        p_value=None,
        verdict=verdict,
        explanation=text,
    )
