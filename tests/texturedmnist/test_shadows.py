import os
import subprocess
import sys
from pathlib import Path

import pytest

from texturedmnist.common.shadows import name_shadow

ROOT = Path(__file__).parents[2]
RAY = """
from texturedmnist.common.executors import ExecutorError, open_ray
try:
    open_ray(None, jobs=1).__enter__()
except ExecutorError as error:
    print(error)
"""
TORCHVISION = """
from pathlib import Path
from texturedmnist.sources import SourceError, download
try:
    download("mnist", Path("data"))
except SourceError as error:
    print(error)
"""
SKLEARN = """
from pathlib import Path
from texturedmnist.sources import SourceError, load_digits
try:
    load_digits("embedded", Path("data"))
except SourceError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["folder", "file"])
@pytest.mark.parametrize(
    ("package", "code"),
    [("ray", RAY), ("torchvision", TORCHVISION), ("sklearn", SKLEARN)],
)
def test_a_file_of_the_user_s_that_hides_a_package_is_named(
    tmp_path: Path, package: str, code: str, kind: str
) -> None:
    own = tmp_path / package
    if kind == "folder":
        own.mkdir()
        (own / "__init__.py").touch()
    else:
        own.with_suffix(".py").touch()
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert f"Python takes {package} from {own}" in ended.stdout, ended.stderr
    assert ended.stdout.count("\n") == 1


def test_an_absent_package_is_hidden_by_nothing() -> None:
    assert name_shadow("no_such_package_anywhere") == ""
