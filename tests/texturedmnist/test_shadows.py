from pathlib import Path

import pytest

from tests.test_light_imports import run_python
from texturedmnist.common.causes import name_shadow

ROOT = Path(__file__).parents[2]
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, kind: str
) -> None:
    own = tmp_path / package
    if kind == "folder":
        own.mkdir()
        (own / "__init__.py").touch()
    else:
        own.with_suffix(".py").touch()
    monkeypatch.chdir(tmp_path)
    told = run_python(CODE.format(NEEDS[package]), PYTHONPATH=str(ROOT))
    assert f"Python takes {package} from {own}" in told
    assert told.count("\n") == 1


def test_an_absent_package_is_hidden_by_nothing() -> None:
    assert name_shadow("no_such_package_anywhere") == ""
