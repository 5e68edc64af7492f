"""Whether classes drawn from all are uniform, and how evenly files are used."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from texturedmnist.audit.chance import bound_value, draw_unevenness, unevenness
from texturedmnist.audit.columns import Choice, Split
from texturedmnist.audit.report import Check, Verdict

UNIFORM = "free classes uniform"
FILES = "use of files"


def check_usage(
    choices: Sequence[tuple[Split, Choice]], level: float, rng: np.random.Generator
) -> list[Check]:
    """Compare the classes of draws below the randomness with uniform ones.

    Args:
        choices: both textures of every split.
        level: significance of each comparison.
        rng: draws the counts to compare with.
    """
    checks = []
    for split, choice in choices:
        free = choice.number[choice.draw < choice.randomness]
        if len(free):
            checks.append(_check_uniform(split, choice, free, level, rng))
    return checks + [_note_files(split, choice) for split, choice in choices]


def _check_uniform(
    split: Split,
    choice: Choice,
    free: NDArray[np.int64],
    level: float,
    rng: np.random.Generator,
) -> Check:
    classes = len(choice.texture.classes)
    counts = np.bincount(free, minlength=classes)
    found = float(unevenness(counts))
    sample = draw_unevenness(len(free), classes, rng)
    bound = bound_value(found, sample, level, two_sided=False)
    verdict: Verdict = "passed" if bound.p_value > level else "failed"
    text = (
        f"{len(free)} samples drew from all {classes} classes, {counts.min()} to "
        f"{counts.max()} times each."
    )
    return Check(
        name=UNIFORM,
        split=split.name,
        texture=choice.texture.name,
        asked=bound.mean,
        found=found,
        low=bound.low,
        high=bound.high,
        p_value=bound.p_value,
        verdict=verdict,
        explanation=text,
    )


def _note_files(split: Split, choice: Choice) -> Check:
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
    ratio = uses / mean
    return Check(
        name=FILES,
        split=split.name,
        texture=choice.texture.name,
        asked=1,
        found=float(ratio.max()),
        low=float(ratio.min()),
        high=float(ratio.max()),
        p_value=None,
        verdict="note",
        explanation=text,
    )
