from pathlib import Path

import pytest

from tests.python import run_python
from texturedmnist.common.shadows import name_shadow

CODE = """
from pathlib import Path
from texturedmnist.common.executors import ExecutorError, open_ray
from texturedmnist.sources import SourceError, download, load_digits
try:
    {}
except (ExecutorError, SourceError) as error:
    print(error)
"""
# What needs each package that a user may hide.
NEEDS = {
    "ray": "open_ray(None, jobs=1).__enter__()",
    "torchvision": "download('mnist', Path('data'))",
    "sklearn": "load_digits('embedded', Path('data'))",
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
    told = run_python("-c", CODE.format(NEEDS[package]), folder=tmp_path).stdout
    assert f"Python takes {package} from {own}" in told
    assert told.count("\n") == 1


def test_an_absent_package_is_hidden_by_nothing() -> None:
    assert name_shadow("no_such_package_anywhere") == ""
