import os
import subprocess
import sys
from pathlib import Path

import pytest

from texturedmnist.common.shadows import name_shadow

ROOT = Path(__file__).parents[2]
# What needs each package that a user may hide.
NEEDS = {
    "ray": "from texturedmnist.common.executors import open_ray\n"
    "open_ray(None, jobs=1).__enter__()",
    "torchvision": "from texturedmnist.sources import download\n"
    "download('mnist', Path('data'))",
    "sklearn": "from texturedmnist.sources import load_digits\n"
    "load_digits('embedded', Path('data'))",
}


@pytest.mark.parametrize(
    ("package", "kind"),
    [("ray", "folder"), ("torchvision", "file"), ("sklearn", "folder")],
)
def test_a_file_of_the_user_s_that_hides_a_package_is_named(
    tmp_path: Path, package: str, kind: str
) -> None:
    own = tmp_path / package
    if kind == "folder":
        own.mkdir()
        (own / "__init__.py").touch()
    else:
        own.with_suffix(".py").touch()
    ended = subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path\n{NEEDS[package]}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    *_, error = ended.stderr.splitlines()
    assert error.startswith("texturedmnist."), ended.stderr
    assert f"Python takes {package} from {own}" in error


def test_an_absent_package_is_hidden_by_nothing() -> None:
    assert name_shadow("no_such_package_anywhere") == ""
