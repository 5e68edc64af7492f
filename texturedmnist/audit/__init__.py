"""What a finished dataset folder shows of leakage, randomness and groups.

Only the folder is read, never the sources: of pictures that stand there under several
names it knows what `generate` has noted in the manifest.
"""

from pathlib import Path

import numpy as np

from texturedmnist.audit.columns import Dataset, read_dataset
from texturedmnist.audit.exact import check_consistency, check_leakage, check_numbers
from texturedmnist.audit.rates import check_information, check_randomness, check_usage
from texturedmnist.audit.report import AuditReport, Check, GroupCounts
from texturedmnist.audit.text import format_report

__all__ = ["AuditReport", "audit", "format_report"]

FALSE_ALARM = 1.0e-3
SEED = 0  # of the simulated chance that the data is compared with


def audit(folder: Path) -> AuditReport:
    """Check a finished dataset for leakage, consistency and the randomness asked for.

    A sound dataset passes with a probability of at least 1 - `FALSE_ALARM`: half of it
    is for the rates, half for the simulated checks, shared equally (Bonferroni).

    Raises:
        DatasetError: the folder isn't finished, or a file of it can't be read.
    """
    dataset = read_dataset(folder)
    checks = check_numbers(dataset)
    groups: tuple[GroupCounts, ...] = ()
    if all(check.verdict == "passed" for check in checks):
        checks += _check_content(dataset)
        groups = _count_groups(dataset)
    return AuditReport(
        folder=str(folder),
        identity=dataset.manifest.identity,
        counts={name: len(split.label) for name, split in dataset.splits.items()},
        randomness={
            name: {c.texture.randomness: c.randomness for c in split.choices}
            for name, split in dataset.splits.items()
        },
        false_alarm=FALSE_ALARM,
        checks=tuple(checks),
        groups=groups,
    )


def _check_content(dataset: Dataset) -> list[Check]:
    rng = np.random.default_rng(SEED)
    choices = [c for split in dataset.splits.values() for c in split.choices]
    drawn = sum(choice.randomness > 0 for choice in choices)
    simulated = FALSE_ALARM / 2 / max(2 * drawn, 1)
    return [
        *check_consistency(dataset),
        *check_leakage(dataset),
        *check_randomness(choices, FALSE_ALARM / 2),
        *check_information(choices, simulated, rng),
        *check_usage(choices, simulated, rng),
    ]


def _count_groups(dataset: Dataset) -> tuple[GroupCounts, ...]:
    return tuple(
        GroupCounts(split.name, label, background, digit, int(count))
        for split in dataset.splits.values()
        for (label, background, digit), count in np.ndenumerate(split.count_groups())
    )
