from pathlib import Path

from tests.python import run_python
from texturedmnist.common.causes import name_shadow

# What needs each package that a user may hide.
CODE = """
from pathlib import Path
from texturedmnist.common.executors import ExecutorError, open_ray
from texturedmnist.sources import SourceError, download, load_digits

for use in (
    lambda: open_ray(None, jobs=1).__enter__(),
    lambda: download("mnist", Path("data")),
    lambda: load_digits("embedded", Path("data")),
):
    try:
        use()
    except (ExecutorError, SourceError) as error:
        print(error)
"""


def test_a_file_of_the_user_s_that_hides_a_package_is_named(tmp_path: Path) -> None:
    for package in ("ray", "sklearn"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "torchvision.py").touch()
    told = run_python("-c", CODE, folder=tmp_path).stdout.splitlines()
    packages = ("ray", "torchvision", "sklearn")
    for package, line in zip(packages, told, strict=True):
        assert f"Python takes {package} from {tmp_path / package}" in line


def test_an_absent_package_is_hidden_by_nothing() -> None:
    assert name_shadow("no_such_package_anywhere") == ""
