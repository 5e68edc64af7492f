"""The files of anybody that come in, and where each is read: `DOORS`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from reff_bench.cli.evaluate import _read_config
from reff_bench.cli.show import describe_failures
from reff_bench.cost.operations import all_operations
from reff_bench.cost.table import StepTimes, read_step_times, write_step_times
from reff_bench.data.pixels import read_image, read_mask
from reff_bench.grid.config import GridError
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid
from reff_bench.grid.model import TableSpec
from reff_bench.identity.folder import read_folder
from reff_bench.identity.isic2017 import read_isic2017
from reff_bench.identity.pets import read_pets
from reff_bench.identity.tree import DataError
from reff_bench.report.claims.check import check_claims
from reff_bench.report.claims.write import claims_text
from reff_bench.report.files import write_tables
from reff_bench.results.collected import collect_runs
from reff_bench.results.folder import open_runs
from reff_bench.results.json_file import ResultsError
from reff_bench.results.plan import write_plan
from reff_bench.results.run import run_folder
from tests.reff_bench.fakes import isic_tree, make_config, make_plan
from tests.reff_bench.made_up_runs import write_runs
from tests.reff_bench.trees import make_pets
from tests.texturedmnist.tree import write_mnist, write_textures
from texturedmnist import Recipe, TexturedMNIST
from texturedmnist.common.text import printable
from texturedmnist.describe import (
    describe_assignment,
    describe_dataset,
    latex_assignment,
)
from texturedmnist.generate import plan_build, run_build
from texturedmnist.interop.export import plan_export, run_export
from texturedmnist.manifest import DatasetError, read_manifest
from texturedmnist.recipe import RecipeError, load_recipe, resolve_assignment
from texturedmnist.sources import SourceError, list_classes, load_digits
from texturedmnist.sources.decode import decode_image


@dataclass(frozen=True, slots=True)
class Door:
    """Where a kind of file is read.

    Attributes:
        path: of the file, below a folder.
        prepare: fills the folder, the sound file included.
        read: reads the file and does what its users do first; given the folder.
        errors: what may be raised.
    """

    path: str
    prepare: Callable[[Path], object]
    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...]

    def take(self, folder: Path, content: bytes) -> bool:
        """Read a content in a folder that `prepare` has filled: whether it is taken.

        Else one line of bounded length comes.
        """
        (folder / self.path).write_bytes(content)
        try:
            self.read(folder)
        except self.errors as error:
            words = str(error)
            assert words == printable(words), words
            assert 0 < len(words) < 3000, words
            return False
        return True


def write_recipe(folder: Path) -> None:
    names = list_classes("dtd")
    fields = Recipe(bg=0.1, tex=0.2).model_dump(mode="json", exclude_none=True)
    backgrounds = [[name] for name in names[10:20]]
    assignment = {"digit_textures": [*names[:10]], "background_textures": backgrounds}
    text = yaml.safe_dump({**fields, "ties": assignment})
    (folder / "recipe.yaml").write_text(text)


def read_recipe(folder: Path) -> None:
    found = load_recipe(folder / "recipe.yaml")
    found.model_dump_json()
    resolve_assignment(found, list_classes("dtd"), list_classes("embedded"))


def write_dataset(folder: Path) -> None:
    write_textures(folder / "own", [f"class_{number:02d}" for number in range(20)], 3)
    own = dict.fromkeys(("digit_textures", "background_textures"), str(folder / "own"))
    fields: dict[str, Any] = {"digits": "embedded", "image_size": 28, **own}
    recipe = Recipe(bg=0.5, tex=0.5, train=20, val=2, test=2, **fields)
    run_build(plan_build(recipe, folder / "tm", cache_dir=folder / "cache"))
    _without_digest(folder / "tm" / "manifest.json", "digest")


def read_dataset(folder: Path) -> None:
    manifest = read_manifest(folder / "tm")
    describe_dataset(folder / "tm", manifest)
    describe_assignment(manifest)
    latex_assignment(manifest)
    for split in manifest.splits:
        found = TexturedMNIST(folder / "tm", split)
        found.read(range(len(found)))


def write_export(folder: Path) -> None:
    write_dataset(folder)
    run_export(plan_export(folder / "tm", "folder", folder / "pngs"))
    (folder / "pngs" / ".export.json").unlink(missing_ok=True)


CONFIGS = [make_config(name, seed=seed) for name in ("reff", "abn") for seed in (0, 1)]
RUN = f"out/cells/{run_folder(Path(), CONFIGS[0]).name}"
GRID = """\
data: {bg: 0, digits: embedded, textures: embedded, image_size: 32}
blocks:
- {method: [baseline, reff], seed: [0, 1], annotations: [5, all], tex: [0, 0.5]}
- {method: [reff], layers: [[stage4], [stage3, stage4]], tex: [0]}
training: {backbone: resnet_small, lr: 1.0e-3, epochs: 2}
methods: {reff: {warmup: 0.3}}
annotator: {steps: 10}
select: {options: {weight: [1, 3]}, by: val_accuracy}
tables: [{name: main, rows: annotations, columns: method, value: test_accuracy}]
"""


def write_out(folder: Path) -> None:
    """A folder of runs and its file of records, both as before there were digests."""
    out, table = folder / "out", {"rows": "threads", "columns": "method"}
    write_runs(out, CONFIGS, lambda config: True)
    tables = (TableSpec(name="main", value="test_accuracy", **table),)
    write_plan(out, make_plan(CONFIGS, tables=tables))
    collect_runs([out], folder / "records.jsonl")
    for pattern in ("grid.json", "record.json", "evaluation.json"):
        for path in out.rglob(pattern):
            _without_digest(path)
    lines = (folder / "records.jsonl").read_text().splitlines()
    bare = [json.dumps(_bare(json.loads(line))) + "\n" for line in lines]
    (folder / "records.jsonl").write_text("".join(bare))
    (folder / RUN / "cell.json").write_text(CONFIGS[0].model_dump_json())


def _bare(fields: dict[str, object], name: str = "sha256") -> dict[str, object]:
    return {key: value for key, value in fields.items() if key != name}


def _without_digest(path: Path, name: str = "sha256") -> None:
    path.write_text(json.dumps(_bare(json.loads(path.read_text()), name)))


def read_runs(path: Path) -> None:
    runs = open_runs(path)
    describe_failures(runs)
    write_tables(runs, runs.plan.tables)
    claims_text(check_claims(runs))


def write_photograph(folder: Path, name: str = "a.jpg") -> None:
    Image.effect_noise((24, 20), 60).convert("RGB").save(folder / name)


def write_mask(folder: Path, name: str = "a.png") -> None:
    values = np.zeros((20, 24), np.uint8)
    values[5:9, 3:8] = 255
    Image.fromarray(values).save(folder / name)


def write_times(folder: Path) -> None:
    seconds = dict.fromkeys(all_operations(CONFIGS), 0.1)
    times = StepTimes("a processor", "cpu", seconds)
    write_step_times(folder / "times.json", times)


def write_folder(folder: Path) -> None:
    lines = ["image,label,mask,split,group"]
    for number, split in enumerate(("train", "val", "test") * 2):
        write_photograph(folder, f"{number}.jpg")
        write_mask(folder, f"{number}.png")
        label = number // 3
        lines.append(f"{number}.jpg,{label},{number}.png,{split},group {label}")
    (folder / "metadata.csv").write_text("\n".join(lines))


ISIC = "ISIC-2017_Test_v2_Part3_GroundTruth.csv"
BENCH = (GridError, ResultsError)
DOORS: Mapping[str, Door] = {
    "idx": Door(
        "MNIST/raw/train-images-idx3-ubyte",
        lambda folder: write_mnist(folder, 3, 3, gz=False),
        lambda folder: load_digits("mnist", folder),
        (SourceError,),
    ),
    "idx.gz": Door(
        "MNIST/raw/train-images-idx3-ubyte.gz",
        lambda folder: write_mnist(folder, 3, 3),
        lambda folder: load_digits("mnist", folder),
        (SourceError,),
    ),
    "texture": Door(
        "a.jpg",
        write_photograph,
        lambda folder: decode_image(folder / "a.jpg", 28),
        (SourceError,),
    ),
    "photograph": Door(
        "a.jpg",
        write_photograph,
        lambda folder: read_image(folder / "a.jpg"),
        (DataError,),
    ),
    "mask": Door(
        "a.png",
        write_mask,
        lambda folder: read_mask(folder / "a.png", "two_values"),
        (DataError,),
    ),
    "recipe": Door("recipe.yaml", write_recipe, read_recipe, (RecipeError,)),
    "manifest": Door("tm/manifest.json", write_dataset, read_dataset, (DatasetError,)),
    "export": Door(
        "pngs/export.json",
        write_export,
        lambda folder: plan_export(folder / "tm", "folder", folder / "pngs"),
        (DatasetError,),
    ),
    "grid": Door(
        "grid.yaml",
        lambda folder: (folder / "grid.yaml").write_text(GRID),
        lambda folder: expand(load_grid(folder / "grid.yaml")),
        (GridError,),
    ),
    "plan": Door("out/grid.json", write_out, lambda f: read_runs(f / "out"), BENCH),
    "record": Door(
        f"{RUN}/record.json", write_out, lambda f: read_runs(f / "out"), BENCH
    ),
    "evaluation": Door(
        f"{RUN}/evaluation.json", write_out, lambda f: read_runs(f / "out"), BENCH
    ),
    "records": Door(
        "records.jsonl", write_out, lambda f: read_runs(f / "records.jsonl"), BENCH
    ),
    "cell": Door(
        f"{RUN}/cell.json",
        write_out,
        lambda folder: _read_config(folder / RUN / "cell.json"),
        BENCH,
    ),
    "times": Door(
        "times.json", write_times, lambda f: read_step_times(f / "times.json"), BENCH
    ),
    "isic": Door(
        f"isic/{ISIC}",
        lambda folder: isic_tree(folder / "isic", 2),
        lambda folder: read_isic2017(folder / "isic"),
        (DataError,),
    ),
    "folder": Door("metadata.csv", write_folder, read_folder, (DataError,)),
    "pets": Door(
        "pets/annotations/test.txt",
        lambda folder: make_pets(folder / "pets"),
        lambda folder: read_pets(folder / "pets"),
        (DataError,),
    ),
}
