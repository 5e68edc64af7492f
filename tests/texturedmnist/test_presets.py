import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from reff_bench.grid.config import GridError
from reff_bench.grid.expand import expand, recipe_of
from reff_bench.grid.load import load_grid
from tests.texturedmnist.tree import EMBEDDED
from texturedmnist.cli import main
from texturedmnist.common.executors import local
from texturedmnist.compose import compose
from texturedmnist.generate import plan_build, run_build
from texturedmnist.manifest import read_manifest
from texturedmnist.plan import plan_samples
from texturedmnist.recipe import PRESETS, Recipe, RecipeError, find_preset, load_recipe
from texturedmnist.shards.format import combine_digests, digest_samples, row_bytes
from texturedmnist.sources import open_sources

ROOT = Path(__file__).parents[2]


def preset(name: str) -> Recipe:
    return load_recipe(preset=name, **EMBEDDED)


@pytest.mark.parametrize("name", PRESETS)
def test_the_validation_split_rendered_on_the_fly_has_its_digest(name: str) -> None:
    recipe = preset(name)
    sources = open_sources(recipe)
    for split in ("val", "val_shifted"):
        plan = plan_samples(recipe, sources.index, split, np.arange(recipe.val))
        images, masks = compose(plan, sources)
        digests = digest_samples(images, masks, row_bytes(plan.columns()))
        assert combine_digests([digests]) == PRESETS[name].digests[split]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("name", PRESETS)
def test_a_stored_preset_has_its_digests(name: str, jobs: int, tmp_path: Path) -> None:
    build = plan_build(preset(name), tmp_path / "tm", shard_size=3000 // jobs)
    run_build(build, executor=local(jobs))
    splits = read_manifest(tmp_path / "tm").splits
    digests = {split: entry.digest for split, entry in splits.items()}
    assert digests == PRESETS[name].digests
    told = CliRunner().invoke(main, ["info", str(tmp_path / "tm")]).stdout
    assert f"preset {name}, to the byte" in told


def test_the_page_has_every_digest_and_the_fields() -> None:
    page = (ROOT / "docs" / "presets.md").read_text()
    for name, one in PRESETS.items():
        for split, digest in one.digests.items():
            assert f"| `{name}` | {split} | `{digest}` |" in page
        recipe = preset(name)
        told = (recipe.bg, recipe.tex, recipe.randomness("test")[1])
        assert f"| `{name}` | {' | '.join(f'{one:g}' for one in told)} | " in page
        assert {*one.digests} == {*recipe.counts()}
    assert len(re.findall(r"[0-9a-f]{64}", page)) == 4 * len(PRESETS)


def test_flags_and_files_beat_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("bg: 0.3\ntex: 0.9\ntrain: 20\n")
    found = load_recipe(path, preset="hard", bg=0.0, tex=None, train=10)
    chosen = found.bg, found.tex, found.train, found.test
    assert chosen == (0.0, 0.9, 10, 5000)  # a flag that is not given is None
    with pytest.raises(RecipeError, match=r"^bg = 7 is not allowed"):
        load_recipe(bg=7, tex=0)  # no file is named


def test_a_preset_is_found_by_its_digests_alone() -> None:
    assert [find_preset(one.digests) for one in PRESETS.values()] == [*PRESETS]
    assert find_preset({**PRESETS["hard"].digests, "val": "0" * 64}) is None


def test_an_unknown_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="unknown preset 'eazy'; did you mean 'easy'"):
        load_recipe(preset="eazy")
    path = tmp_path / "grid.yaml"
    path.write_text("data: {preset: eazy}\naxes: {method: [baseline]}\n")
    with pytest.raises(GridError, match=r"preset.*: unknown preset 'eazy'; did you"):
        load_grid(path)


def test_the_command_names_the_folder_after_the_preset() -> None:
    words = ("generate", "--preset=easy", "--embedded", "--dry-run")
    told = CliRunner().invoke(main, words)  # with the decoded textures of above
    assert "train 5000, val 1000, test 5000, val_shifted 1000 at 96 px" in told.stdout
    assert "in textured_mnist_easy" in told.stdout


@pytest.mark.parametrize("name", PRESETS)
def test_a_grid_renders_the_preset(name: str, tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    data = f"{{preset: {name}, digits: embedded, textures: embedded}}"
    path.write_text(f"data: {data}\naxes: {{method: [baseline]}}\n")
    (config,) = expand(load_grid(path))
    stored = {"val_shifted": True, "test_tex": preset(name).randomness("test")[1]}
    found = recipe_of(config)
    assert found is not None
    ours, theirs = (one.model_copy(update=stored) for one in (found, preset(name)))
    assert ours.model_copy(update={"digit_size": theirs.digit_size}) == theirs
