"""What is uploaded at a release: the source archive and the wheel."""

import tarfile
import zipfile
from pathlib import Path

import pytest

import texturedmnist
from tests.python import ROOT, run_python

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source archive and the wheel, which is made of it."""
    out = tmp_path_factory.mktemp("dist")
    run_python("-m", "build", "--no-isolation", "--outdir", out, ROOT)
    (archive,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return archive, wheel


def test_the_index_would_take_them(packages: tuple[Path, Path]) -> None:
    run_python("-m", "twine", "check", "--strict", *packages)


def test_the_source_archive_holds_what_is_needed(packages: tuple[Path, Path]) -> None:
    with tarfile.open(packages[0]) as file:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in file.getnames()}
    single = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "pyproject.toml"}
    assert {*single, "PKG-INFO", "grids/quick.yaml", "examples/own_method.py"} <= names
    folders = {name.split("/")[0] for name in names if "/" in name}
    assert folders == {"texturedmnist", "reff_bench", "examples", "grids"}
    assert packages[0].stat().st_size < 1_000_000


def test_the_wheel_holds_both_packages_whole(packages: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(packages[1]) as file:
        names = {name for name in file.namelist() if ".dist-info" not in name}
    kept = {
        path.relative_to(ROOT).as_posix()
        for package in ("texturedmnist", "reff_bench")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == kept
    assert f"texturedmnist-{texturedmnist.__version__}-" in packages[1].name
