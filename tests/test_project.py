import re
import subprocess
import tarfile
import tomllib
import zipfile
from importlib.metadata import metadata, version
from pathlib import Path

import pytest
import yaml
from cffconvert import Citation

import reff_bench
import texturedmnist
from tests.python import ROOT, run_python
from tests.test_import_rules import modules_of

RUN = (
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[pretrained]' && "
    ".venv/bin/reff-bench run grids/quick.yaml"
)
TEST = (
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest"
)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_readme_starts_with_the_two_commands() -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```", read("README.md"), re.DOTALL | re.M)
    lines = [line for block in blocks for line in block.splitlines()]
    assert lines[:2] == [RUN, TEST]


def test_the_map_in_the_readme_shows_exactly_the_modules_that_exist() -> None:
    layout = read("README.md").split("\n## Package layout\n")[1].split("\n## ")[0]
    tables = re.split(r"^\| `(\w+)/` module \|.*$", layout, flags=re.MULTILINE)
    shown = [
        f"{package}.{module}"
        for package, table in zip(tables[1::2], tables[2::2], strict=True)
        for module in re.findall(r"^\| `(\w+)` \| \S", table, flags=re.MULTILINE)
    ]
    exist = [name for name in modules_of(ROOT) if not name.endswith(".__init__")]
    assert sorted(shown) == sorted(exist)


def test_ci_is_executable_and_runs_the_second_command_of_the_readme() -> None:
    assert TEST in read(".ci/run").splitlines()
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.parametrize("failing", ["pip", "pytest", "ruff", "mypy", "nothing"])
def test_ci_stops_at_the_first_tool_that_fails(failing: str, tmp_path: Path) -> None:
    """The script runs in a made-up clone, with stubs that note their names."""
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / "run"
    script.write_text(read(".ci/run"))
    stub = f"""#!/bin/sh
tool=$(basename "$0"); echo "$tool" >> log
[ "$tool" != {failing} ]
"""
    make = f"""#!/bin/sh
mkdir -p .venv/bin
for tool in pip pytest ruff mypy; do
    cat > .venv/bin/$tool <<'END'
{stub}END
    chmod +x .venv/bin/$tool
done
"""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(make)
    (tmp_path / "bin" / "python3").chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", str(script)],
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    order = ["pip", "pytest", "ruff", "ruff", "mypy"]
    expected = order[: order.index(failing) + 1] if failing in order else order
    assert (tmp_path / "log").read_text().split() == expected
    assert (done.returncode == 0) == (failing == "nothing")


def test_the_citation_is_valid_cff_and_names_the_paper_and_both_sources() -> None:
    text = read("CITATION.cff")
    Citation(text).validate()
    cited = yaml.safe_load(text)
    assert cited["cff-version"] == "1.2.0"
    assert [reference["doi"] for reference in cited["references"]] == [
        "10.1109/ICME52920.2022.9859838",
        "10.1109/5.726791",
        "10.1109/CVPR.2014.461",
    ]


def test_every_place_gives_the_same_version() -> None:
    assert texturedmnist.__version__ == reff_bench.__version__
    assert texturedmnist.__version__ == version("texturedmnist")
    assert texturedmnist.__version__ == yaml.safe_load(read("CITATION.cff"))["version"]
    assert texturedmnist.__version__ in read("CHANGELOG.md")


def test_every_place_gives_the_same_license() -> None:
    assert read("LICENSE").startswith("MIT License\n")
    assert "Copyright (c) 2026 The Textured MNIST developers" in read("LICENSE")
    assert yaml.safe_load(read("CITATION.cff"))["license"] == "MIT"
    assert tomllib.loads(read("pyproject.toml"))["project"]["license"] == "MIT"
    assert metadata("texturedmnist")["License-Expression"] == "MIT"


def test_every_dependency_has_a_lower_bound_with_its_reason() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(one for extra in extras for one in extra)]
    lines = read("pyproject.toml").splitlines()
    for requirement in wanted:
        found = [line for line in lines if f'"{requirement}"' in line]
        assert found
        for line in found:
            assert re.search(r'"[\w-]+>=[\d.]+", +# [\d.]+: .', line), line


def test_both_packages_ship_their_types() -> None:
    for package in (texturedmnist, reff_bench):
        assert package.__file__ is not None
        assert (Path(package.__file__).parent / "py.typed").is_file()


def test_every_test_that_the_page_on_reliability_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)::(\w+)`", read("docs/reliability.md")))
    there = {
        (path.stem, name)
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def test_(\w+)", path.read_text("utf-8"), re.M)
    }
    assert named - there == set()
    assert len(named) > 66


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What a release uploads: the source archive, and the wheel made of it."""
    out = tmp_path_factory.mktemp("dist")
    run_python("-m", "build", "--no-isolation", "--outdir", out, ROOT)
    (archive,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return archive, wheel


@pytest.mark.slow
def test_the_index_would_take_them(packages: tuple[Path, Path]) -> None:
    run_python("-m", "twine", "check", "--strict", *packages)


@pytest.mark.slow
def test_the_source_archive_holds_what_is_needed(packages: tuple[Path, Path]) -> None:
    with tarfile.open(packages[0]) as file:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in file.getnames()}
    single = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "pyproject.toml"}
    assert {*single, "PKG-INFO", "grids/quick.yaml", "examples/own_method.py"} <= names
    folders = {name.split("/")[0] for name in names if "/" in name}
    assert folders == {"texturedmnist", "reff_bench", "examples", "grids"}
    assert packages[0].stat().st_size < 1_000_000


@pytest.mark.slow
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
