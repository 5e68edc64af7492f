"""The site of the docs: its pages, links, examples and notebook."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
import yaml
from click.testing import CliRunner

import reff_bench
import texturedmnist
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid
from tests.python import ROOT, run_python
from texturedmnist import interop
from texturedmnist.cli import main

DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
START = (DOCS / "getting_started.md").read_text(encoding="utf-8")
TOUR = ROOT / "examples" / "tour.ipynb"
KINDS = ("method", "backbone", "dataset", "metric")
LINKING = [
    *(DOCS / page for page in PAGES),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *(ROOT / folder / "README.md" for folder in ("examples", "benchmarks")),
    *sorted((ROOT / "results").glob("*/README.md")),
]


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [str(one) for one in found]


def read_tour() -> Any:  # noqa: ANN401 (nbformat has no types)
    return nbformat.reads(TOUR.read_text(encoding="utf-8"), 4)  # type: ignore[no-untyped-call]


def leaves(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        for one in entry.values():
            if isinstance(one, str):
                yield one
            else:
                yield from leaves(one)


def test_the_navigation_has_every_page_once() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    shown = [one for one in leaves(settings["nav"]) if not one.startswith("repository")]
    assert sorted(shown) == PAGES


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.stem)
def test_every_link_leads_to_a_file(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.M)
    targets = re.findall(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)", text)
    made = "gallery/"  # pictures that are drawn when the site is built
    absent = {
        (page.parent / target).resolve().relative_to(ROOT).as_posix()
        for target in targets
        if not target.startswith(made) and not (page.parent / target).exists()
    }
    assert not absent


def public_names(*packages: ModuleType) -> set[str]:
    named = ((one.__name__, name) for one in packages for name in one.__all__)
    return {f"{package}.{name}" for package, name in named if name != "__version__"}


def test_the_reference_has_every_public_name_and_no_other() -> None:
    text = "".join(path.read_text("utf-8") for path in (DOCS / "api").iterdir())
    listed = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(public_names(texturedmnist, reff_bench, interop))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_on_an_own_part_shows_the_example_that_is_tested(kind: str) -> None:
    text = (DOCS / "own" / f"{kind}.md").read_text(encoding="utf-8")
    assert f'--8<-- "examples/own_{kind}.py"' in text
    assert f'[project.entry-points."reff_bench.{kind}s"]' in text


def grids() -> Iterator[Any]:
    for page in ("getting_started", "submit", *(f"own/{kind}" for kind in KINDS)):
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        for number, block in enumerate(blocks(text, "yaml")):
            yield pytest.param(block, id=f"{page}-{number}")


@pytest.mark.parametrize("grid", [*grids()])
def test_grids_on_pages_are_grids(
    grid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    included = re.fullmatch(r'--8<-- "(.*)"\n', grid)
    text = (ROOT / included[1]).read_text(encoding="utf-8") if included else grid
    (tmp_path / "grid.yaml").write_text(text)
    (tmp_path / "birds").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "examples")
    assert len(expand(load_grid(tmp_path / "grid.yaml"))) > 1


def test_getting_started_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(ROOT / "results")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    commands = re.findall(r"^texturedmnist (.*)$", START, re.MULTILINE)
    assert [command.split()[0] for command in commands] == [
        *("generate", "preview", "audit")
    ]
    for command in commands:
        done = CliRunner().invoke(main, command.split())
        assert done.exit_code == 0, done.output
    names: dict[str, Any] = {}
    for block in blocks(START, "python"):
        exec(block, names)
    assert names["images"].shape == (32, 3, 64, 64)
    assert names["mask"].shape == (64, 64)
    assert len(names["runs"])


def test_the_notebook_has_no_outputs_and_uses_public_names_alone() -> None:
    notebook = read_tour()
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []
    tree = ast.parse("\n".join(cell.source for cell in code))
    used = {
        f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    ours = {name for name in used if name.startswith(("texturedmnist", "reff_bench"))}
    assert ours
    assert ours <= public_names(texturedmnist, reff_bench)


@pytest.mark.filterwarnings("ignore")  # of what runs notebooks, not of the notebook
def test_the_notebook_runs_and_shows_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # threads wait for each other's cores
    # As Jupyter sets it, whatever this process draws with.
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = read_tour()
    resources = {"metadata": {"path": str(tmp_path)}}
    done = NotebookClient(notebook, timeout=600, resources=resources).execute()
    text = json.dumps([cell.get("outputs", []) for cell in done.cells])
    own, other = (
        float(re.search(rf"background is {which}: ([\d.]+)", text)[1])  # type: ignore[index]
        for which in ("as in training", "random")
    )
    assert own > other + 0.15
    assert text.count("image/png") == 5


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    run_python("-m", "mkdocs", "build", "--strict", f"--site-dir={out}")
    return out


def test_the_site_is_built_without_a_warning_and_has_every_page(site: Path) -> None:
    for page in PAGES:
        name = page.removesuffix(".md")
        folder = site if name == "index" else site / name
        assert (folder / "index.html").is_file(), page
    reference = (site / "api" / "texturedmnist" / "index.html").read_text("utf-8")
    assert 'id="texturedmnist.TexturedMNIST.read"' in reference


def test_no_page_of_the_site_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = re.compile(
        r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//[^"]+"'
        r'|<link[^>]+rel="?(?:stylesheet|preconnect)[^>]+href="(?:https?:)?//[^"]+"'
        r"|<link[^>]+href=\"(?:https?:)?//[^\"]+\"[^>]+rel=\"?(?:stylesheet|preconnect)"
    )
    found = {
        one for page in site.rglob("*.html") for one in loaded.findall(page.read_text())
    }
    assert found == set()
