"""What an audit found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["passed", "failed", "note"]


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the dataset and its answer.

    Attributes:
        name: of the question; the same in every split.
        split: one split, or two joined by " / ".
        texture: `background` or `digit texture`, or empty if it is about neither.
        asked: the value that a dataset of this recipe has, or has on average.
        found: the value that this dataset has.
        low: least value within bounds.
        high: greatest value within bounds.
        p_value: how often chance alone is as far off, where chance has a part.
        verdict: `passed`, `failed`, or `note` for what is only shown.
        explanation: one sentence.
        label: the digit that it is about, if it is about one.
    """

    name: str
    split: str
    texture: str
    asked: float
    found: float
    low: float
    high: float
    p_value: float | None
    verdict: Verdict
    explanation: str
    label: int | None = None


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """Number of samples of a split by label and by textures assigned to it."""

    split: str
    label: int
    background_aligned: int
    digit_aligned: int
    count: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """All checks of a dataset.

    Attributes:
        folder: the dataset.
        identity: sha256 (hex) of its recipe and sources.
        counts: number of samples by split.
        randomness: the randomness asked for: split -> `bg` or `tex` -> in [0, 1].
        false_alarm: probability, at most, that any statistical check of a sound
            dataset fails.
        checks: in the order of their names.
        groups: number of samples by split, label, and aligned flags.
    """

    folder: str
    identity: str
    counts: Mapping[str, int]
    randomness: Mapping[str, Mapping[str, float]]
    false_alarm: float
    checks: tuple[Check, ...]
    groups: tuple[GroupCounts, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.verdict == "failed")

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {"passed": self.passed, **asdict(self)}


def count_check(
    name: str, split: str, texture: str, found: float, explanation: str
) -> Check:
    """Return a check that asks for none of something."""
    verdict: Verdict = "failed" if found else "passed"
    return Check(name, split, texture, 0, found, 0, 0, None, verdict, explanation)
