from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.commands import Command

SMALL = (
    *("generate", "--bg", "0.5", "--tex", "0.5", "--embedded", "--train", "60"),
    *("--val", "20", "--test", "20", "--image-size", "28", "--shard-size", "10"),
    *("--out", "{out}"),
)
EXPORT = ("export", "{data}", "--out", "{out}", "--layout")


def by(jobs: int, *line: str) -> Command:
    """Return a command of `texturedmnist` that works with some processes."""
    return Command("texturedmnist", (*line, "--jobs", str(jobs)))


ALONE = {
    "generate": by(1, *SMALL),
    "export folder": by(1, *EXPORT, "folder"),
    "export parquet": by(1, *EXPORT, "parquet"),
}
BY_TWO = {
    "generate by two": by(2, *SMALL),
    "export folder by two": by(2, *EXPORT, "folder"),
}
GENERATE, FOLDER, PARQUET = ALONE.values()


@pytest.fixture
def trials(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Iterator[Counter[str]]:
    """Counts what is tried; `-rP` shows the counts, and the XML report has them."""
    counts: Counter[str] = Counter()
    yield counts
    for what, count in counts.items():
        record_property(what, count)
        print(f"{count} trials: {what}")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished dataset: leave it as it is."""
    out = tmp_path_factory.mktemp("broken") / "data"
    GENERATE.finish(out)
    return out
