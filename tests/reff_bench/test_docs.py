import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import BaseModel

from reff_bench.catalog.backbones import BACKBONES
from reff_bench.catalog.datasets import DATASETS
from reff_bench.catalog.methods import METHOD_OPTIONS, METHODS
from reff_bench.catalog.metrics import METRICS, SELECTABLE
from reff_bench.catalog.options import STAGES
from reff_bench.cli import main
from reff_bench.grid import fields
from reff_bench.grid.config import SEED_PURPOSES, RunConfig
from reff_bench.grid.expand import expand
from reff_bench.grid.load import KEYS, load_grid
from reff_bench.grid.marks import OPTIONS
from reff_bench.grid.model import TABLES, Select, TableSpec
from reff_bench.methods.registry import find_method
from reff_bench.results import panels, plan, run
from reff_bench.results.run import RECORD_FIELDS, STATUSES
from tests.reff_bench.test_methods import make_step
from texturedmnist.recipe import Recipe

ROOT = Path(__file__).parents[2]
GRID = (ROOT / "docs" / "grid.md").read_text(encoding="utf-8")
METHODS_PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", GRID, re.DOTALL | re.M)
(OWN,) = re.findall(r"^```python\n(# own\.py.*?)^```", GRID, re.DOTALL | re.M)
PIVOTS = GRID.split("\n### Tables of your own\n")[1].split("\n### ")[0]
BIG = {10**9: "10^9", 2**63: "2^63"}


def section(title: str) -> str:
    return GRID.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_examples_of_pivots_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for example in re.findall(r"^```python\n(.*?)^```", PIVOTS, re.DOTALL | re.M):
        exec(example, names)
    assert "reff" in names["pivot"].columns
    assert names["numbers"]["count"].sum() > 0


def rows(text: str, *heads: str) -> Iterator[list[str]]:
    """Yield the lines of all tables with these heads."""
    inside = False
    for line in text.splitlines():
        inside = line.startswith("|") and (inside or line == f"| {' | '.join(heads)} |")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if inside and cells != [*heads] and set(cells) != {"---"}:
            yield cells


def documented() -> Iterator[tuple[str, list[str]]]:
    """Yield the field of a run and its line, of the keys that become one."""
    for title in ("data", "training", "annotator"):
        for cells in rows(section(title), "key", "values", "default", "mark"):
            key = cells[0].strip("`")
            name = {"annotator": f"annotator_{key}"}.get(title, key)
            name = "data_seed" if (title, key) == ("data", "seed") else name
            if name in OPTIONS:
                yield name, cells
    for cells in rows(METHODS_PAGE, "option", "values", "what"):
        yield cells[0].strip("`"), cells


def allowed(name: str) -> str:
    """Return what a field may be in the pages' words; nothing for free text."""
    kinds: list[type[BaseModel]] = [RunConfig]
    kinds += [one.options for one in METHODS.values()]
    model = next(one for one in kinds if name in one.model_fields)
    schema = model.model_json_schema()["properties"][name]
    kind: dict[str, Any] = schema.get("anyOf", [schema])[0]
    if kind["type"] == "boolean":
        return "`true`, `false`"
    names = kind.get("items", kind).get("enum")
    if names or kind["type"] == "string":
        return ", ".join(f"`{one}`" for one in names or ())
    if kind["type"] == "array":
        return f"list of numbers in ({kind['items']['exclusiveMinimum']}, ∞)"
    low = f"[{kind['minimum']}" if "minimum" in kind else "(0"
    high = "∞)"
    for bound, bracket in (("maximum", "]"), ("exclusiveMaximum", ")")):
        if bound in kind:
            high = f"{BIG.get(kind[bound], kind[bound])}{bracket}"
    number = {"integer": "whole number", "number": "number"}[kind["type"]]
    return f"{number} in {low}, {high}"


def minimal(folder: Path, data: str) -> RunConfig:
    path = folder / "minimal.yaml"
    path.write_text(f"data: {data}\naxes: {{method: [baseline]}}\n")
    return expand(load_grid(path))[0]


def test_every_name_that_a_grid_may_use_is_in_the_reference() -> None:
    names = {
        *(*KEYS, *fields.AXES, *fields.TRAINING_KEYS, *fields.ANNOTATOR_KEYS),
        *(*fields.RENDERED_KEYS, *fields.TREE_KEYS, *METHOD_OPTIONS, *METHODS),
        *(*BACKBONES, *DATASETS, *SELECTABLE, *TABLES, *METRICS, *SEED_PURPOSES),
        *(*Select.model_fields, *TableSpec.model_fields, *STATUSES, *RECORD_FIELDS),
        *(task for spec in DATASETS.values() for task in spec.tasks),
    }
    assert sorted(name for name in names if f"`{name}`" not in GRID) == []


def test_every_file_of_a_run_is_in_the_reference() -> None:
    every = {**vars(panels), **vars(plan), **vars(run)}
    del every["GRID_NAME"]  # a pattern
    names = [value for key, value in every.items() if key.endswith("_NAME")]
    assert len(names) > 5
    assert [name for name in names if f"  {name} " not in GRID] == []


def test_every_command_and_flag_is_in_the_reference() -> None:
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        assert f"`reff-bench {name} " in GRID, name
        flags = [flag for param in command.params for flag in param.opts]
        assert [flag for flag in flags if flag[0] == "-" and flag not in GRID] == []


def test_every_option_has_its_line_once_and_no_other_is_there() -> None:
    names = [name for name, _ in documented()]
    assert {*names} == {*OPTIONS}
    assert len(names) == len(OPTIONS) + 1  # image_size: rendered, and photographs


def test_the_values_of_every_option_are_those_that_are_allowed() -> None:
    off = [
        f"{name}: it should say {allowed(name)}"
        for name, (_, values, *_) in documented()
        if allowed(name) not in values
    ]
    assert off == []
    blank = {name for name, (_, values, *_) in documented() if "`null`" in values}
    assert blank == fields.NULLABLE - {"root"}


def test_the_marks_of_the_defaults_are_those_of_the_code() -> None:
    off = [
        f"{name}: its mark is {OPTIONS[name].mark}"
        for name, cells in documented()
        if len(cells) == 4 and cells[3] != f"[{OPTIONS[name].mark}]"
    ]
    assert off == []


def test_the_defaults_of_the_reference_are_those_of_the_code(tmp_path: Path) -> None:
    rendered = minimal(tmp_path, "{bg: 0, tex: 0}").model_dump()
    photographs = minimal(tmp_path, "{kind: pets}").model_dump()
    required = set()
    for name, cells in documented():
        if len(cells) != 4 or name == "task":
            continue
        found = re.match(r"`([^`]+)`(?:; photographs `([^`]+)`)?", cells[2])
        if found is None:
            required.add(name)
            continue
        key = {"data_seed": "seed"}.get(name, name)
        recipe = OPTIONS[name].group == "data"
        default = Recipe.model_fields[key].default if recipe else rendered[name]
        assert yaml.safe_load(found[1]) == default, name
        assert yaml.safe_load(found[2] or found[1]) == photographs[name] or recipe, name
    known = Recipe.model_fields.items()
    assert required == {name for name, field in known if field.is_required()}


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_is_a_grid(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tm").mkdir()
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "grid.yaml").write_text(EXAMPLES[number])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "examples")
    assert len(expand(load_grid(Path("grid.yaml")))) > 1


def test_the_example_of_an_own_method_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    terms = find_method("own:label_smoothing").terms(make_step("baseline"))
    sys.modules.pop("own")
    terms.total().backward()  # type: ignore[no-untyped-call]
    assert [*terms.losses] == ["cross_entropy"]


def test_the_example_of_set_fits_the_grid_that_it_names() -> None:
    (line,) = re.findall(r"^    reff-bench run (.* --set .*)$", GRID, re.M)
    name, *words = shlex.split(line)
    assert words[::2] == ["--set"] * len(words[1::2])
    configs = expand(load_grid(ROOT / name, words[1::2]))
    assert {(config.epochs, config.seed) for config in configs} == {(1, 0)}


def test_the_methods_are_listed_with_their_titles_and_marks() -> None:
    heads = ("name", "title", "mark", "supervision", "model", "minimized")
    listed = [cells[:4] for cells in rows(METHODS_PAGE, *heads)]
    assert listed == [
        [f"`{name}`", spec.title, f"[{spec.mark}]", spec.supervision]
        for name, spec in METHODS.items()
    ]


@pytest.mark.parametrize("published", [False, True])
def test_the_tables_of_defaults_are_those_of_the_code(published: bool) -> None:
    first = [*METHODS].index("rrr")  # of the methods of others
    names = [*METHODS][first:] if published else [*METHODS][:first]
    specs = {name: METHODS[name] for name in names if METHODS[name].defaults}
    used = {option for spec in specs.values() for option in spec.defaults}
    heads = ["option", "mark", *(f"`{name}`" for name in specs)]
    expected = [
        [
            f"`{option}`",
            f"[{OPTIONS[option].mark}]",
            *(shown(spec.defaults.get(option, "--")) for spec in specs.values()),
        ]
        for option in METHOD_OPTIONS
        if option in used
    ]
    there = [*rows(METHODS_PAGE, *heads)]
    off = [f"| {' | '.join(cells)} |" for cells in expected if cells not in there]
    assert off == [], "docs/methods.md, section Options: these lines should be there"
    assert len(there) == len(expected)


def shown(value: object) -> str:
    if isinstance(value, tuple):
        return "all" if value == STAGES else ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_the_readme_links_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    of_the_site = {"index.md", "getting_started.md", "gallery.md", "how_it_is_built.md"}
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - of_the_site
    assert "grid.md" in pages
    assert sorted(page for page in pages if f"](docs/{page}): " not in readme) == []
