import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from reff_bench.catalog.backbones import BACKBONES
from reff_bench.catalog.datasets import DATASETS
from reff_bench.catalog.methods import METHOD_OPTIONS, METHODS
from reff_bench.catalog.options import STAGES, AnyOptions
from reff_bench.grid.config import (
    SEED_PURPOSES,
    GridError,
    RunConfig,
    config_id,
    derive_seed,
    describe_config,
    describe_configs,
    run_fields,
)
from reff_bench.grid.expand import expand, recipe_of
from reff_bench.grid.load import load_grid
from reff_bench.grid.marks import OPTIONS
from reff_bench.grid.model import TableSpec
from reff_bench.results.json_file import ResultsError
from reff_bench.results.plan import make_plan as check_plan
from tests.reff_bench.fakes import make_config, make_plan
from texturedmnist.common.yaml_file import parse_yaml

GRIDS = Path(__file__).parents[2] / "grids"
TEXT = """\
name: small
data:
  digits: embedded
  textures: embedded
  bg: 0
  image_size: 32
blocks:
  - method: [baseline, reff]
    annotations: [5, all]
    tex: [0.0, 0.5]
    seed: [0, 1, 2]
  - method: [abn]
    tex: [1]
training:
  backbone: resnet_small
  lr: 1e-3
methods:
  reff: {score: margin, layers: [stage4]}
annotator:
  steps: 100
select:
  options: {weight: [0.1, 1]}
tables: [tab2, {name: mine, rows: tex, columns: method, value: val_accuracy}]
"""


def write(folder: Path, text: str = TEXT) -> Path:
    path = folder / "grid.yaml"
    path.write_text(text)
    return path


def configs_of(
    folder: Path, *overrides: str, text: str = TEXT
) -> tuple[RunConfig, ...]:
    return expand(load_grid(write(folder, text), overrides))


def test_a_grid_is_expanded_to_every_combination(tmp_path: Path) -> None:
    configs = configs_of(tmp_path)
    counts = Counter(config.method for config in configs)
    assert counts == {"baseline": 12, "reff": 24, "abn": 2}  # two weights
    assert len(configs) == len(set(configs))


def test_every_value_finds_its_place(tmp_path: Path) -> None:
    config = next(config for config in configs_of(tmp_path) if config.method == "reff")
    options = [config.value(name) for name in ("score", "layers", "weight")]
    assert options == ["margin", ("stage4",), 0.1]
    assert (config.lr, config.annotator_steps, config.weights) == (1e-3, 100, None)
    assert (config.bg, config.test_bg, config.test_tex) == (0.0, 1.0, config.tex)
    assert (config.digit_size, config.train, config.digits) == (32, 54_000, "embedded")
    assert recipe_of(config).digit_textures == "embedded"


def test_a_method_has_no_options_but_its_own(tmp_path: Path) -> None:
    for config in configs_of(tmp_path):
        used = {name for name in METHOD_OPTIONS if config.value(name) is not None}
        assert used == set(METHODS[config.method].defaults)


@pytest.mark.parametrize(("method", "same"), [("baseline", True), ("reff", False)])
def test_runs_that_masks_cannot_touch_share_an_id(method: str, same: bool) -> None:
    few, full = (make_config(method, annotations=n) for n in (5, "all"))
    assert (config_id(few) == config_id(full)) is same


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"root": "/elsewhere"}, True),
        ({"loader_workers": 4}, True),
        ({"annotator_steps": 7}, True),  # all annotations: no annotator
        ({"digit_textures": "/a/folder"}, True),
        ({"weights": "/b/weights.pt"}, True),
        ({"threads": 2}, False),
        ({"data_identity": "1" * 64}, False),
        ({"weights_identity": "1" * 64}, False),
        ({"code_identity": "1" * 64}, False),
        ({"record_version": 2}, False),
        ({"seed": 1}, False),
        ({"weight": 2.0}, False),
        ({"precision": "float32"}, False),
    ],
)
def test_the_id_depends_on_what_the_run_depends_on(
    fields: dict[str, object], same: bool
) -> None:
    base = make_config(digit_textures="/my/folder", weights="/a/weights.pt")
    other = RunConfig(**{**base.flat(), **fields})
    assert (config_id(other) == config_id(base)) is same


def test_the_id_of_a_run_never_changes() -> None:
    assert config_id(make_config()) == "304a6bcc6e9837dc"


def test_a_table_without_a_name_is_named_after_its_axes(tmp_path: Path) -> None:
    tables = "tables=[{value: val_accuracy}, {rows: tex, name: 3}]"
    grid = load_grid(write(tmp_path), [tables])
    assert [table.name for table in grid.tables] == ["annotations_method", "3"]


def test_an_image_size_can_be_an_axis(tmp_path: Path) -> None:
    axes = ("blocks.1.image_size=[32, 56]", "blocks.1.digit_size=[28]")
    configs = configs_of(tmp_path, *axes)
    sizes = {(c.image_size, c.digit_size) for c in configs if c.method == "abn"}
    assert sizes == {(32, 28), (56, 28)}


@given(st.integers(0, 2**62), st.sampled_from(SEED_PURPOSES))
def test_derived_seeds_differ_by_purpose_and_fit(seed: int, purpose: str) -> None:
    value = derive_seed(seed, purpose)
    assert 0 <= value < 2**63
    others = {derive_seed(seed, other) for other in SEED_PURPOSES}
    assert len(others) == len(SEED_PURPOSES)
    assert derive_seed(seed + 1, purpose) != value


@given(
    st.sampled_from(sorted(METHODS)),
    st.integers(1, 100) | st.just("all"),
    st.floats(0, 1),
    st.integers(0, 2**63 - 1),
)
def test_a_run_survives_json(
    method: str, annotations: int | str, tex: float, seed: int
) -> None:
    config = make_config(method, annotations=annotations, tex=tex, seed=seed)
    again = RunConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert config_id(again) == config_id(config)
    flat = config.model_dump(mode="json").values()
    assert not any(isinstance(value, dict) for value in flat)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_read_in_every_spelling(value: float) -> None:
    for text in (repr(value), f"{value:e}", f"{value:.17g}"):
        assert parse_yaml(text)[0] == pytest.approx(value)


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", ".1e-2", "+1e-3", "0.001"])
def test_a_float_needs_no_point(text: str) -> None:
    assert parse_yaml(text)[0] == 0.001
    assert (parse_yaml("e3")[0], parse_yaml("1e")[0]) == ("e3", "1e")


def test_every_option_has_a_mark_and_every_mark_an_option() -> None:
    aside = {
        *("record_version", "data_identity", "weights_identity", "code_identity"),
        *("dataset", "root", "method", "annotations", "seed"),
    }
    assert set(OPTIONS) == set(run_fields([])) - aside
    marks = {option.mark for option in OPTIONS.values()}
    assert marks <= {"paper", "assumed", "other", "ours"}


def test_the_names_are_the_runs() -> None:
    fields: dict[str, Any] = {"dataset": "pets", "method": "reff"}
    for backbone in BACKBONES:
        RunConfig(**fields, backbone=backbone)
    fields["backbone"] = "resnet18"
    for dataset in DATASETS:
        RunConfig(**{**fields, "dataset": dataset})
    RunConfig(**{**fields, "layers": STAGES})
    with pytest.raises(ValidationError, match="backbone"):
        RunConfig(**{**fields, "backbone": "vgg"})


def test_a_run_is_described_in_a_few_words() -> None:
    words = describe_config(make_config(annotations=5, seed=3))
    assert words == "ReFF, annotations 5, bg 0, tex 0, weight 300, seed 3"


def test_runs_that_share_their_words_are_told_apart() -> None:
    configs = [make_config(lr=1e-4), make_config(seed=1), make_config(lr=1e-2)]
    slow, one, fast = map(describe_config, configs)
    assert describe_configs(configs) == [f"{slow}, lr 0.0001", one, f"{fast}, lr 0.01"]


@pytest.mark.parametrize("path", sorted(GRIDS.glob("*.yaml")), ids=lambda one: one.stem)
def test_the_shipped_grids_are_sound(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text()), dict)
    grid = load_grid(path)
    assert grid.name == path.stem
    config, *others = expand(grid)
    assert len(others) > 3
    if grid.name in ("tab2", "tab3"):  # of the paper's size
        network = (config.image_size, config.backbone, config.weights)
        assert network == (224, "resnet50", "imagenet")


@pytest.mark.parametrize(
    ("override", "field", "value"),
    [
        ("epochs=3", "epochs", 3),
        ("training.epochs=3", "epochs", 3),
        ("seed=[7]", "seed", 7),
        ("seed=7", "seed", 7),
        ("blocks.0.seed=[7]", "seed", 7),
        ("train=500", "train", 500),
        ("data.seed=4", "data_seed", 4),
        ("annotator_steps=9", "annotator_steps", 9),
        ("annotator.steps=9", "annotator_steps", 9),
        ("lr=1e-2", "lr", 0.01),
        ("bg=0.5", "bg", 0.5),
        ("select={}", "weight", None),
    ],
)
def test_set_replaces_a_value(
    override: str, field: str, value: object, tmp_path: Path
) -> None:
    assert configs_of(tmp_path, override)[0].value(field) == value


def test_a_methods_own_value_is_not_tuned(tmp_path: Path) -> None:
    configs = configs_of(tmp_path, "methods.reff.weight=5")
    weights = {(config.method, config.value("weight")) for config in configs}
    assert weights == {("baseline", None), ("reff", 5.0), ("abn", 0.1), ("abn", 1.0)}


def test_an_axis_that_a_method_lacks_makes_no_more_runs(tmp_path: Path) -> None:
    configs = configs_of(tmp_path, "blocks.0.score=[logit, margin]")
    assert sum(config.method == "baseline" for config in configs) == 12


def test_a_method_of_the_users_own_may_use_every_option(tmp_path: Path) -> None:
    own = "tests.reff_bench.own_methods:bare"
    config = configs_of(tmp_path, f"method={own}")[0]
    assert all(config.value(name) is not None for name in AnyOptions.model_fields)
    assert describe_config(config).startswith(own)
    for override in (f"methods.{own}.weight=3", f"methods.{own}={{weight: 3}}"):
        overrides = (f"method=[{own}]", override, "select={}")
        assert configs_of(tmp_path, *overrides)[0].value("weight") == 3.0


def test_many_seeds_are_read_quickly(tmp_path: Path) -> None:
    seeds = f"blocks=[{{method: [baseline], tex: [0], seed: {[*range(20_000)]}}}]"
    began = time.process_time()
    grid = load_grid(write(tmp_path), [seeds, "select={}"])
    assert len(grid.blocks[0]["seed"]) == 20_000
    assert time.process_time() - began < 10  # it was quadratic


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../../esc_out"},
        {"name": ""},
        {"name": "a" * 101},
        {"name": "a", "rows": "nope"},
        {"name": "a", "columns": "seed"},
        {"name": "a", "value": "status"},
        {"name": "a", "where": {"nope": 1}},
    ],
)
def test_a_table_is_checked_wherever_it_is_read(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"not allowed|unknown"):
        TableSpec.model_validate(fields)
    plan = make_plan([make_config()]).model_dump(mode="json")
    with pytest.raises(ResultsError, match=r"grid.json: tables.0.*(not allo|unknown)"):
        check_plan({**plan, "tables": [fields]}, Path("grid.json"))


OVERRIDE_ERRORS = {
    "training.epocs=1": "--set training.epocs: unknown training key 'epocs'; did you "
    "mean 'epochs'?",
    "epochs=0": "--set training.epochs = 0 is not allowed: it should be greater than",
    "epochs=true": "it should be a valid integer",
    "epochs=": "training.epochs has no value; leave the key out for the default",
    "epochs": "must be KEY=VALUE",
    "epochs=[": "--set epochs=[: line 1, column 2: not valid YAML: expected the node",
    "bakbone=x": "--set bakbone: unknown key 'bakbone'; did you mean 'backbone'?",
    "backbone=resnet5": "unknown backbone 'resnet5'; did you mean 'resnet50'?",
    "lr=-1": "--set training.lr = -1 is not allowed: it should be greater than 0",
    "lr=.nan": "it should be a finite number",
    "layers=[stage9]": "= ['stage9'] is not allowed: it should be 'stage1'",
    "layers=all": "= 'all' is not allowed: it should be a list",
    "method=[ref]": "unknown method 'ref'; did you mean 'reff'?",
    "method=[3]": "unknown method 3 (known: baseline",
    "method=[a.b:c-d]": "is not an import path; write package.module:name",
    "method=[no.such:f]": "no.such:f: there is no module no.such; run",
    "method=[tests.reff_bench.fakes:none]": "tests.reff_bench.fakes has no none",
    "annotations=[0]": "it should be greater than or equal to 1, or 'all'",
    "annotations=[some]": "unknown annotations 'some' (known: all)",
    "seed=[0, 0]": "blocks[0].seed: 0 is there twice",
    "seed=[]": "blocks[0].seed is empty; give at least one value",
    "blocks.0.colour=[1]": "unknown axis 'colour'",
    "blocks.9.seed=[1]": "the grid has no such place",
    "name.x=1": "the grid has no such place",
    "blocks=[]": "should be a list of at least one mapping of axes",
    "blocks=[{seed: [1]}]": "has no axis method",
    "blocks=[{method: reff}]": "it should be a list; write [reff]",
    "axes={method: [reff]}": "give either axes (one block) or blocks",
    "data.kind=cifar": "unknown data kind 'cifar'",
    "data.colour=1": "unknown textured_mnist key 'colour'",
    "data=3": "data = 3 is not allowed: it should be a mapping",
    "data.root=/no/such": "data.root = '/no/such': there is no such folder",
    "data.root=.": "a finished folder says itself what it is; leave out bg, digits",
    "data={kind: folder}": "root is missing; give the folder",
    "data={kind: pets, task: colour}": "unknown task 'colour' (known: breed, species)",
    "data={kind: pets}": "tex can't be an axis: pets can't be rendered again",
    "data={root: .}": "tex can't be an axis: a finished folder can't be rendered again",
    "data={bg: 0}": None,
    "data={}": "bg is missing; give it in data or as an axis, 0 to 1",
    "bg=2": "it should be less than or equal to 1",
    "digit_size=64": "digit_size 64 is larger than image_size 32",
    "annotation_unit=percent": None,
    "annotation_unit=percent & annotations=[500]": "annotations 500 with annotation_u",
    "methods.reff.swap_probability=1": "unknown option of reff 'swap_probability'",
    "methods.ref.weight=1": "unknown method 'ref'",
    "annotator.stepz=1": "unknown annotator key 'stepz'; did you mean 'steps'?",
    "select.by=test_accuracy": "nothing is chosen on the test split; allowed: val_",
    "select.by=val_acc": "unknown metric 'val_acc'; did you mean 'val_accuracy'?",
    "select.best=1": "unknown select key 'best'",
    "select.options.hue=[1]": "unknown option to tune 'hue'",
    "select.options.swap_probability=[0.5]": "no method of this grid has this option",
    "select.options.tex=[1]": "unknown option to tune 'tex'",
    "blocks.0.weight=[1]": "weight is an axis and is tuned by select.options",
    "tables=[tab5]": "unknown table 'tab5'",
    "tables=tab2": "it should be a list",
    "tables=[tab2, tab2]": "the table 'tab2' is there twice",
    "tables=[{rows: hue}]": "unknown axis 'hue'",
    "tables=[{value: f1}]": "unknown value 'f1'",
    "tables=[{row: tex}]": "unknown table key 'row'; did you mean 'rows'?",
    "tables=[{name: tab2}]": "the name 'tab2' is not allowed",
    "tables=[{name: a, where: {hue: 1}}]": "unknown field of a run 'hue'",
    "name=a/b": "name = 'a/b' is not allowed: it should be of letters",
    "name=..": "name = '..' is not allowed: it should be of letters",
    "name=.": "name = '.' is not allowed",
    "name.0=1": "the grid has no such place",
    "seed=[1:30]": "seed[0] = '1:30' is not allowed: it should be a valid int",
    "seed=[010]": "blocks[0].seed[0] = '010' is not allowed: it should be a valid int",
    "seed=[0x10]": "= '0x10' is not allowed: it should be a valid integer",
    "bg=2024-99-99": "data.bg = '2024-99-99' is not allowed: it should be a valid num",
    "bg=!!int x": "--set bg=!!int x: not valid YAML: a value can't be read",
    "bg=!!bool x": "--set bg=!!bool x: not valid YAML: a value can't be read",
    "bg=!!timestamp x": "not valid YAML: a value can't be read",
    "bg=0x_": "data.bg = '0x_' is not allowed",
    "bg={a: 1, a: 2}": "--set bg={a: 1, a: 2}: line 1: the key 'a' is there twice",
    "bg={[a]: 1}": "--set bg={[a]: 1}: line 1: a key must be a name",
    "axes.²=1": "give either axes (one block) or blocks",
    'data.root="\\0"': "data.root = '\\x00': no path has a NUL",
    "data.kind=[pets]": "unknown data kind ['pets']",
    "data={kind: pets, task: [breed]}": "unknown task ['breed']",
    "train=49": "annotations 5 per_class of 49 training images: at most 4 or all is",
    "train=50": None,
    "layers=[stage4, stage4]": "layers = ['stage4', 'stage4']: one of them is",
    "select.by=": "select.by: unknown metric None (known: val_accuracy",
    "select.also=": None,
    "tables=[[1]]": "tables[0]: unknown table [1] (known: tab1",
    "tables=[{rows: [a]}]": "unknown axis ['a'] (known: method",
    "tables=[{name: [a]}]": "tables[0].name: the name \"['a']\" is not allowed",
    "tables=[{name: a}, {name: A}]": "tables[1]: the table 'A' is there twice",
    "tables=[{name: ../a}]": "tables[0].name: the name '../a' is not allowed",
    "tables=[{where: {method: nope}}]": "tables[0].where.method: unknown method 'nope'",
    "tables=[{unless: {tex: 7}}]": "tables[0].unless.tex = 7 is not allowed: it should",
    "tables=[{where: {weight: null}}]": None,
    "methods={own:nope: {weight: 2}}": "methods.own:nope: unknown method of this grid",
    "training=3": "training = 3 is not allowed: it should be a mapping",
}


@pytest.mark.parametrize("override", OVERRIDE_ERRORS)
def test_a_bad_value_is_refused_with_its_place(override: str, tmp_path: Path) -> None:
    words, overrides = OVERRIDE_ERRORS[override], override.split(" & ")
    if words is None:
        assert configs_of(tmp_path, *overrides)
        return
    with pytest.raises(GridError) as caught:
        configs_of(tmp_path, *overrides)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_names_the_line(tmp_path: Path) -> None:
    text = TEXT.replace("lr: 1e-3", "lr: fast")
    with pytest.raises(GridError, match=r"grid.yaml: training.lr \(line 16\) = 'fast'"):
        configs_of(tmp_path, text=text)
    text = TEXT.replace("tex: [0.0, 0.5]", "tex: [0.0, 5]")
    with pytest.raises(GridError, match=r"blocks\[0\].tex\[1\] \(line 10\) = 5 is not"):
        configs_of(tmp_path, text=text)


def test_too_many_runs_are_refused_before_they_are_made(tmp_path: Path) -> None:
    seeds = f"seed={[*range(6_000)]}"
    with pytest.raises(GridError, match=r"axes make up to 1?[\d,]+ runs; at most 1,0"):
        configs_of(tmp_path, seeds, f"blocks.0.lr={[*range(1, 13)]}")


def test_a_block_that_adds_nothing_is_refused(tmp_path: Path) -> None:
    text = TEXT.replace(
        "  - method: [abn]\n    tex: [1]",
        "  - method: [reff]\n    annotations: [5]\n    tex: [0.5]\n    seed: [1]",
    )
    with pytest.raises(GridError, match=r"blocks\[1\].*every run of this block"):
        configs_of(tmp_path, text=text)


FILE_ERRORS = {
    "a: [1\nb: 2": "line 2, column 2: not valid YAML: ",
    "- 1": "must be a YAML mapping",
    "": "must be a YAML mapping",
    "name: a\nname: b": "line 2: the key 'name' is there twice",
    "nam: a": r"nam \(line 1\): unknown key 'nam'; did you mean 'name'",
    "a: &a [*a]": "refers to itself",
    "a: [" + "1," * 100_000 + "]": "line 1: more than 100,000 values",
    "#" * 4_000_001: "is larger than 4,000,000 bytes: it is no grid",
    "a: " + "[" * 5000: "line 1: nested more than 100 deep",
    "".join(f"{' ' * n}- \n" for n in range(1000)): "line 101: nested more than 100",
    "a: [&a [x, x, x, x, x, x, x, x, x]"
    + "".join(
        f", &{name} [{', '.join([f'*{last}'] * 9)}]"
        for last, name in pairwise("abcdefgh")
    )
    + "]": "line 1: more than 100,000 values, those that aliases repeat counted",
    "a: " + "1" * 5000: "not valid YAML: a value can't be read",
    "\xff": "isn't UTF-8 text",
}


@pytest.mark.parametrize("text", FILE_ERRORS)
def test_a_bad_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(GridError, match=FILE_ERRORS[text]):
        load_grid(tmp_path / "grid.yaml")
