import csv
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.python import ROOT, run_python
from texturedmnist.generate import plan_build, run_build
from texturedmnist.recipe import Recipe

EXAMPLES = ROOT / "examples"
NUMBER = r"(\d\.\d{3})"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def folder(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of the examples' README, smaller."""
    recipe = Recipe(
        bg=0.5, tex=0.5, digits="embedded", digit_textures="embedded", image_size=32,
        background_textures="embedded", train=400, val=20, test=200,
        embedded_instances=6,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("data") / "tm"
    run_build(plan_build(recipe, folder, cache_dir=cache / "texturedmnist"))
    return folder


def run(cache: Path, *words: object, folder: Path = ROOT) -> str:
    """Run Python as a user would; give back what it prints."""
    env = {"XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    return run_python(*words, folder=folder, env=env).stdout


def needs(package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"the example needs {package}")


def test_the_page_lists_every_example() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()} - {"README.md"}
    assert set(re.findall(r"`(\w+\.(?:py|yaml|ipynb))", page)) == files


def test_erm_in_plain_pytorch(folder: Path, cache: Path) -> None:
    text = run(cache, "-W", "error", EXAMPLES / "erm_torchvision.py", folder)
    whole, own, other = re.findall(rf": {NUMBER}$", text, re.MULTILINE)
    shares = sorted([float(own), float(other)])
    assert shares[0] <= float(whole) <= shares[1]


def test_group_dro_with_spuco(folder: Path, cache: Path) -> None:
    needs("spuco")
    text = run(cache, EXAMPLES / "groupdro_spuco.py", folder)
    assert "groups in training: 20\n" in text
    kinds = "(?:other|aligned)"
    (worst,) = re.findall(rf"worst group: \d on an {kinds} background, ([\d.]+)", text)
    (average,) = re.findall(r"test accuracy: ([\d.]+) per cent", text)
    assert float(worst) <= float(average)


def test_group_evaluation_with_wilds(folder: Path, cache: Path) -> None:
    needs("wilds")
    text = run(cache, EXAMPLES / "group_eval_wilds.py", folder)
    shown = re.findall(rf"\[n = +\d+\]:\tacc = {NUMBER}", text)
    assert [min(shown)] == re.findall(rf"^acc_wg {NUMBER}$", text, re.MULTILINE)
    assert "mask of the first test sample: " in text


def test_a_probe_that_predicts_the_background(cache: Path) -> None:
    text = run(cache, "-W", "error", EXAMPLES / "background_probe_sklearn.py")
    shares = [float(share) for share in re.findall(r"([\d.]+)%", text)]
    assert len(shares) == 3
    assert min(shares[:2]) > shares[2] == 2.7


def test_a_new_folder_of_textures(cache: Path) -> None:
    text = run(cache, "-W", "error", EXAMPLES / "own_textures.py")
    rows = re.findall(r"^a (\d) of digit_waves_(\d) on ground_waves_\d(\d)", text, re.M)
    assert len(rows) == 5
    assert all(label == inside == outside for label, inside, outside in rows)


def test_a_method_of_ones_own_in_a_grid(cache: Path, tmp_path: Path) -> None:
    assert len((EXAMPLES / "own_method.py").read_text().splitlines()) <= 40
    command = "from reff_bench.cli import main; main()"
    text = run(
        cache, "-c", command, "run", "own_method.yaml", "--out", tmp_path / "out",
        "--device", "cpu", "--jobs", "1", "--set", "epochs=1", folder=EXAMPLES,
    )  # fmt: skip
    assert "3 done, 0 failed" in text
    table = (tmp_path / "out" / "tables" / "own.csv").read_text(encoding="utf-8")
    methods = {row["method"] for row in csv.DictReader(table.splitlines())}
    assert methods == {"baseline", "background_swap", "own_method:right_reasons"}


def test_pretraining_on_textures(cache: Path, tmp_path: Path) -> None:
    small = "--embedded", "--images", 64, "--epochs", 1, "--instances", 24
    out, script = tmp_path / "textures.pt", EXAMPLES / "pretrain_on_textures.py"
    text = run(cache, "-W", "error", script, out, *small)
    assert "epoch 1: " in text
    assert out.is_file()
