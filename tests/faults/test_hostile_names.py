"""Names and texts of others: each medium shows them, none obeys them."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from reff_bench.cli.report import write_page
from reff_bench.grid.model import TableSpec
from reff_bench.report.claims.check import check_claims
from reff_bench.report.claims.write import write_claims
from reff_bench.report.files import write_tables
from reff_bench.report.page.write import write_report
from reff_bench.results.folder import open_runs
from reff_bench.results.panels import read_panels, write_panels
from reff_bench.results.run import (
    ERROR_NAME,
    make_record,
    read_record,
    run_folder,
    write_record,
)
from tests.python import ROOT
from tests.reff_bench.fakes import make_config
from tests.reff_bench.made_up_runs import write_runs
from tests.reff_bench.test_page import Page
from tests.texturedmnist.tree import write_textures

HOSTILE = (
    "=1+1<script>alert(1)</script>\"'&\\input{x}$x_{$50% _#^~"
    "\x1b[2J\n\\end{table}\u202e"
)
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


def is_formula(text: str) -> bool:
    return text[:1] in {*"=+-@"} and not re.fullmatch(r"[-+]?[\d.e+-]+", text)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs in which every text of others is hostile, and its page."""
    out = tmp_path_factory.mktemp("out")
    configs = [
        make_config(method, seed=seed, digit_textures=HOSTILE)
        for method in ("reff", "baseline")
        for seed in (0, 1)
    ]
    write_runs(out, configs, lambda config: True)
    first, second = (run_folder(out, config) for config in configs[:2])
    names = ("device", "package_version", "arithmetic", "network")
    told = {**dict.fromkeys(names, HOSTILE), "versions": {HOSTILE: HOSTILE}}
    write_record(first, {**(read_record(first) or {}), **told})
    panels = {**(read_panels(first) or {}), "class_names": np.array([HOSTILE] * 10)}
    write_panels(first, panels)
    write_record(second, make_record(configs[1], "failed", reason=HOSTILE))
    (second / ERROR_NAME).write_text(HOSTILE)
    runs = open_runs(out)
    write_tables(runs, (TableSpec(name="own"),))
    claims = check_claims(runs)
    write_claims(out, claims)
    write_report(runs, claims=claims)
    return out


@pytest.mark.slow
def test_figures_show_texts_and_obey_none(out: Path) -> None:
    write_page(open_runs(out))
    names = {path.name for path in (out / "figures").iterdir()}
    assert {"one_image.png", "one_image.pdf", "gap.png"} <= names
    test_the_page_shows_texts_and_obeys_none(out)


def test_the_page_shows_texts_and_obeys_none(out: Path) -> None:
    text = (out / "report.html").read_text()
    assert OBEYED.search(text) is None
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"iframe", "object"})
    assert [tag for tag, _ in page.tags].count("script") == 1  # the page's own
    assert all(not name.startswith("on") for _, given in page.tags for name in given)
    assert page.text.count("<script>alert(1)</script>") >= 4


def test_latex_shows_texts_and_obeys_none(out: Path) -> None:
    texts = [path.read_text() for path in (out / "tables").glob("*.tex")]
    assert sum("alert(1)" in text for text in texts) >= 2
    for text in texts:
        assert OBEYED.search(text) is None
        code = re.sub(r"(?<!\\)%.*", "", text)
        assert r"\input" not in code
        assert "<script>" not in code
        assert code.count(r"\begin{table}") == code.count(r"\end{table}")
        assert not re.search(r"(?<!\\)[#&]\S*alert", code)


def test_csv_holds_no_formula(out: Path) -> None:
    texts = [path.read_text() for path in (out / "tables").glob("*.csv")]
    assert any("alert(1)" in text for text in texts)
    for text in texts:
        assert OBEYED.search(text) is None
        cells = [one for row in csv.reader(io.StringIO(text)) for one in row]
        assert not any(map(is_formula, cells))


NAMES = [
    *("b\\input{x}", "=cmd()", "<script>alert(1)<script>", "a\x1b[2Jb", "new\nline"),
    *("|pipe|", "$x_{", "50% & #", "bidi\u202ename", "@sum", "-1+1", "a b", "z", "é"),
    *("[link](javascript:1)", "`code`", "{{x}}", "~", "&amp;", "'quote\"", "'", "null"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset whose classes have hostile names."""
    folder = tmp_path_factory.mktemp("names")
    write_textures(folder / "own", NAMES, 3, (30, 30))
    sizes = ("--train=40", "--val=20", "--test=20", "--image-size=28")
    words = ("--bg=.5", "--tex=.5", "--digits=embedded", "--textures=own", *sizes)
    run(folder, "generate", *words, "--out=tm", "--cache-dir=cache")
    return folder


def run(folder: Path, *words: str) -> str:
    """Run a command of `texturedmnist` there; what it prints commands no terminal."""
    code = "from texturedmnist.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    said = (ended.stdout + ended.stderr).decode()
    assert ended.returncode == 0, said
    assert OBEYED.search(said) is None
    return said


@pytest.mark.parametrize("words", [["--ties"], []])
def test_terminals_show_names_and_obey_none(folder: Path, words: list[str]) -> None:
    said = run(folder, "info", "tm", *words)
    assert not words or r"a\x1b[2Jb" in said


def test_ties_in_latex_obey_no_name(folder: Path) -> None:
    said = run(folder, "info", "tm", "--latex")
    assert r"\textbackslash{}input\{x\}" in said
    assert said.count("\\\\\n") == 11


@pytest.mark.slow
def test_files_of_a_dataset_hold_any_name(folder: Path) -> None:
    for words in (["audit"], ["verify"], ["preview"], ["card"]):
        run(folder, *words, "tm")
    json.loads((folder / "tm" / "croissant.json").read_text())
    with (folder / "tm" / "samples.csv").open(newline="") as file:
        named = {row["digit_texture"] for row in csv.DictReader(file)}
    assert named <= set(NAMES)
    for layout in ("folder", "parquet"):
        run(folder, "export", "tm", "--layout", layout, "--out", layout)
        card = (folder / layout / "README.md").read_text()
        assert OBEYED.search(card) is None
        if card.startswith("---"):
            yaml.safe_load(card.split("---")[1])
    files = [path.name for path in (folder / "folder").rglob("*.png")]
    assert len(files) == 2 * 80
    assert all(re.fullmatch(r"[\w.-]+", name) for name in files)
