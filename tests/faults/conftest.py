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
GENERATE = Command("texturedmnist", (*SMALL, "--jobs", "1"))
EXPORT = ("export", "{data}", "--out", "{out}", "--layout")
FOLDER = Command("texturedmnist", (*EXPORT, "folder", "--jobs", "1"))
PARQUET = Command("texturedmnist", (*EXPORT, "parquet", "--jobs", "1"))


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
