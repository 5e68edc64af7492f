"""Datasets and networks of the user's own, and the kind `folder`."""

import csv
import importlib
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss

from reff_bench.catalog.backbones import BACKBONES, find_backbone
from reff_bench.catalog.datasets import DATASETS, find_dataset
from reff_bench.catalog.find import CatalogError, import_object, installed, own_module
from reff_bench.catalog.methods import METHOD_OPTIONS, METHODS, known_method
from reff_bench.catalog.metrics import METRICS, find_metric
from reff_bench.cost.operations import count_images
from reff_bench.data.opening import open_data
from reff_bench.data.pixels import MemoryPixels
from reff_bench.data.split import Data, Split
from reff_bench.evaluate.model import measure_own
from reff_bench.grid.config import GridError, RunConfig
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid
from reff_bench.identity.configs import identify_configs, tree_root
from reff_bench.identity.folder import read_folder
from reff_bench.identity.tree import DataError, Tree, TreePart, check_tree
from reff_bench.metrics.accuracy import Predictions
from reff_bench.models.attention_branch import AttentionBranchNetwork
from reff_bench.models.backbone import build_backbone
from reff_bench.models.output import ModelError
from reff_bench.results.folder import open_runs
from reff_bench.results.run import RunError
from reff_bench.runner.run import check_own_methods
from tests.reff_bench.fakes import call, make_config, run_here
from tests.reff_bench.small import build_folder
from tests.reff_bench.trees import save_image, save_mask
from texturedmnist import TexturedMNIST
from texturedmnist.interop.export import plan_export, run_export

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = (
    "data: {bg: 0, tex: 0, digits: embedded, textures: embedded, train: 40,"
    " val: 12, test: 12, image_size: 32, embedded_instances: 6}\n"
)
QUICK = "training: {{backbone: {}, epochs: 1, batch_size: {}}}\n"
COLUMNS = ("image", "label", "mask", "split", "group")
Row: TypeAlias = tuple[Any, ...]
Write: TypeAlias = Callable[[str], None]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a module `mine` that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> None:
        sys.modules.pop("mine", None)
        (tmp_path / "mine.py").write_bytes(text.encode("latin-1"))
        importlib.invalidate_caches()

    return write


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of one's own, where the examples can be imported."""
    run_here(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)


def run_grid(text: str) -> None:
    Path("grid.yaml").write_text(text)
    result = call("run", "grid.yaml", "--device=cpu", "--jobs=1", "--cache-dir=cache")
    assert result.exit_code == 0, result.output


def write_table(
    root: Path, rows: list[Row], *columns: str, name: str = "metadata.csv"
) -> None:
    root.mkdir(parents=True, exist_ok=True)
    with (root / name).open("w", newline="") as file:
        csv.writer(file).writerows([columns or COLUMNS, *rows])


def make_folder(root: Path, count: int = 8) -> list[Row]:
    """Write images and masks; return a row each."""
    rows = []
    for number in range(count):
        image, mask = f"all/{number}.jpg", f"relevant/{number}.png"
        save_image(root / image)
        save_mask(root / mask, (40, 30), 255, 0)
        split = ("train", "train", "val", "test")[number % 4]
        rows.append((image, "ab"[number // 4 % 2], mask, split, f"g{number % 2}"))
    return rows


def configs_of(folder: Path, grid: str) -> tuple[RunConfig, ...]:
    path = folder / "grid.yaml"
    path.write_text(grid)
    configs = expand(load_grid(path))
    return identify_configs(configs, data_root=None, cache_dir=None)


def test_a_table_names_images_masks_splits_and_groups(tmp_path: Path) -> None:
    rows = make_folder(tmp_path)
    write_table(tmp_path, rows)
    tree = read_folder(tmp_path)
    assert tree.classes == {"label": ("a", "b")}
    assert tree.groups == ("g0", "g1")
    train = tree.parts["train"]
    assert [path.name for path in train.images] == ["0.jpg", "1.jpg", "4.jpg", "5.jpg"]
    assert [path and path.name for path in train.masks][:2] == ["0.png", "1.png"]
    assert train.labels == {"label": (0, 0, 1, 1)}
    assert train.groups == (0, 1, 0, 1)
    write_table(tmp_path, rows[:-1])
    assert read_folder(tmp_path).identity != tree.identity


def test_sub_folders_name_classes_and_splits(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            save_image(tmp_path / "images" / split / name / "1.jpg")
    mask = tmp_path / "masks" / "train" / "dog" / "1.png"
    save_mask(mask, (40, 30), 1, 0)
    tree = read_folder(tmp_path)
    assert tree.classes == {"label": ("cat", "dog")}
    assert tree.groups is None
    assert tree.parts["train"].masks == (None, mask)
    assert tree.parts["test"].labels == {"label": (0, 1)}


def test_without_splits_classes_are_split_alike_in_any_order(tmp_path: Path) -> None:
    images = [row[0] for row in make_folder(tmp_path, 40)]
    rows: list[Row] = [(one, "ab"[n % 2]) for n, one in enumerate(images)]
    write_table(tmp_path, rows, "file_name", "label")
    tree = read_folder(tmp_path)
    sizes = {split: len(part.images) for split, part in tree.parts.items()}
    assert sizes == {"train": 28, "val": 6, "test": 6}
    assert sum(tree.parts["val"].labels["label"]) == 3
    write_table(tmp_path, rows[::-1], "file_name", "label")
    again = read_folder(tmp_path)
    assert again.parts == tree.parts


TABLES = {  # what a table has in place of what
    r"line 1: there is no column 'label'": ("image,label", "image,kind"),
    r"line 2: unknown split 'trian'; did you mean 'train'": ("train", "trian"),
    r"line 9: .*already; an image has one label": ("all/7.jpg", "all/0.jpg"),
    r"line 3: there is no file .*absent\.jpg": ("all/1.jpg", "absent.jpg"),
    r"line 2: '\.\./x\.jpg' lies outside": ("all/0.jpg", "../x.jpg"),
    r"line 2: label is empty": ("all/0.jpg,a", "all/0.jpg,"),
    r"has no images of the split val": ("val", "test"),
}


@pytest.mark.parametrize("text", TABLES)
def test_a_table_that_contradicts_itself_is_refused(text: str, tmp_path: Path) -> None:
    write_table(tmp_path, make_folder(tmp_path))
    path = tmp_path / "metadata.csv"
    path.write_text(path.read_text().replace(*TABLES[text]))
    with pytest.raises(DataError, match=text):
        read_folder(tmp_path)


FOLDERS: dict[str, Callable[[Path], object]] = {
    r"isn't UTF-8": lambda root: (root / "metadata.csv").write_bytes(b"\xff,a"),
    r"no folder .*; give the folder of the images": shutil.rmtree,
    r"has neither metadata.csv nor images/CLASS": lambda root: None,
    r"deep/1.jpg lies neither in images/CLASS nor": (
        lambda root: save_image(root / "images/train/cat/deep/1.jpg")
    ),
}


@pytest.mark.parametrize("text", FOLDERS)
def test_a_folder_that_contradicts_itself_is_refused(text: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    make_folder(root)
    FOLDERS[text](root)
    with pytest.raises(DataError, match=text):
        read_folder(root)


def test_our_own_export_is_read_as_it_was_made(tmp_path: Path) -> None:
    few = {"train": 40, "val": 12, "test": 12}
    folder = build_folder(tmp_path / "tm", bg=0.5, tex=0.5, **few)
    run_export(plan_export(folder, "folder", tmp_path / "png"))
    (tmp_path / "png" / "metadata.csv").unlink()  # the splits' own tables say the same
    grid = f"data: {{kind: folder, root: {tmp_path / 'png'}, image_size: 28}}\n"
    (config,) = configs_of(tmp_path, grid + "axes: {method: [baseline]}\n")
    test = open_data(config).splits["test"]
    images, masks = test.source.read(torch.arange(12))
    pixels = images.permute(0, 2, 3, 1).numpy()
    stored = TexturedMNIST(folder, split="test", target_types=["label", "mask"])
    for number in range(12):
        image, (label, mask) = stored[number]
        assert int(test.labels[number]) == label
        assert np.array_equal(pixels[number], np.asarray(image))
        assert np.array_equal(masks[number].numpy(), np.asarray(mask) > 0)
    sizes = count_images(config)
    assert (sizes.train, sizes.val, sizes.test, sizes.classes) == (40, 12, 12, 10)
    assert tree_root(config, tmp_path) == (tmp_path / "png").resolve()


@pytest.mark.usefixtures("here")
def test_a_folder_trains_to_a_table() -> None:
    write_table(Path("pictures"), make_folder(Path("pictures"), 16))
    run_grid(
        "data: {kind: folder, root: pictures, image_size: 32}\n"
        "axes: {method: [baseline, reff]}\n" + QUICK.format("resnet_small", 4)
    )
    assert Path("runs/grid/tables/tab2.csv").is_file()


@pytest.mark.usefixtures("here")
def test_the_example_of_an_own_dataset_is_read(tmp_path: Path) -> None:
    root = tmp_path / "birds"
    rows = []
    for number in range(12):
        save_image(root / f"{number}.jpg")
        save_mask(root / "masks" / f"{number}.jpg.png", (40, 30), 255, 0)
        bird = ("landbird", "waterbird")[number % 2]
        split = ("train", "train", "val", "test")[number // 3]
        rows.append((f"{number}.jpg", bird, number // 6, split))
    write_table(root, rows, "file", "bird", "water", "split", name="birds.csv")
    grid = f"data: {{kind: own_dataset:birds, root: {root}, image_size: 32}}\n"
    (config,) = configs_of(tmp_path, grid + "axes: {method: [baseline]}\n")
    data = open_data(config)
    assert data.class_names == ("landbird", "waterbird")
    assert data.group_names[3] == "waterbird on water"
    assert data.splits["test"].groups.tolist() == [3, 1, 3]
    assert data.identity == config.data_identity
    assert len((EXAMPLES / "own_dataset.py").read_text().splitlines()) <= 44


@pytest.mark.usefixtures("here")
def test_an_own_backbone_trains_and_a_metric_is_computed_for_finished_runs() -> None:
    network = build_backbone("own_backbone:tiny", 7, seed=1)
    output = network(torch.zeros(2, 3, 32, 32))
    assert output.logits.shape == (2, 7)
    assert [*output.stages] == ["stage1", "stage2", "stage3", "stage4"]
    with pytest.raises(ModelError, match="Tiny, whose last stage can't be run by its"):
        AttentionBranchNetwork("own_backbone:tiny", 7)
    text = SMALL + "axes: {method: [reff]}\n" + QUICK.format("own_backbone:tiny", 10)
    run_grid(text)
    (config,) = configs_of(Path(), text)
    assert config.code_identity is not None
    (checkpoint,) = Path("runs/grid/cells").glob("*/checkpoint.pt")
    trained = checkpoint.stat().st_mtime_ns
    text += 'tables: [{rows: bg, columns: method, value: "own_metric:brier", name: b}]'
    run_grid(text)
    assert checkpoint.stat().st_mtime_ns == trained
    (run,) = open_runs(Path("runs/grid")).runs()
    assert 0 < run.metrics["own_metric:brier"] < 2
    table = Path("runs/grid/tables/b.csv").read_text()
    assert f"{run.metrics['own_metric:brier']:.4f}"[:5] in table
    before = (checkpoint.parent / "evaluation.json").stat().st_mtime_ns
    run_grid(text)
    assert (checkpoint.parent / "evaluation.json").stat().st_mtime_ns == before


FAULTY = {
    "def f(:\n": r"mine:f can't be imported: SyntaxError: .*mine\.py, line 1",
    "import os\nboom\n": r"mine:f can't be imported: NameError: .*mine\.py, line 2",
    "import sys\nsys.exit('bye')\n": r"SystemExit: bye \(.*mine\.py, line 2\)",
    "raise ValueError\n": r"ValueError:  \(.*mine\.py, line 1\)",
    "x = 'caf\xe9'\n": r"SyntaxError: .*utf-8.*mine\.py",
    "import absent_package\n": r"ModuleNotFoundError: No module named 'absent_package'",
    "x = 1\n": "mine:f: mine has no f",
    "f = 3\n": "mine:f (is|gave) a int; it should be a function",
}
DOORS: dict[str, Callable[[str], object]] = {
    "dataset": find_dataset,
    "backbone": find_backbone,
    "method": lambda name: check_own_methods((make_config(name),)),
}


@pytest.mark.parametrize("text", FAULTY)
@pytest.mark.parametrize("door", DOORS)
def test_a_module_that_cannot_be_used_is_named_with_its_line(
    text: str, door: str, module: Write
) -> None:
    module(text)
    with pytest.raises((CatalogError, GridError), match=FAULTY[text]):
        DOORS[door]("mine:f")


@pytest.mark.parametrize("path", ["os:abort", "sys:exit", "json.tool:main"])
def test_a_file_of_others_runs_nothing_of_pythons_own(path: str) -> None:
    with pytest.raises(CatalogError, match=r"is a module of Python's own; give yours"):
        import_object(path)
    assert known_method(path).title == path.rpartition(":")[2]


def test_a_specification_may_replace_a_function(module: Write) -> None:
    module(
        "from reff_bench import BackboneSpec, DatasetSpec\n"
        "d = DatasetSpec('Mine', str, folder='mine')\n"
        "b = BackboneSpec(str, weights='imagenet')\n"
    )
    assert find_dataset("mine:d").title == "Mine"
    assert find_backbone("mine:b").weights == "imagenet"


def test_what_an_installed_package_offers_goes_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "offer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[reff_bench.datasets]\nbirds = offer:birds\n"
        "[reff_bench.backbones]\nwings = offer:wings\nresnet18 = offer:wings\n"
    )
    (tmp_path / "offer.py").write_text(
        "def birds(root): return None\ndef wings(num_classes): return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    installed.cache_clear()
    try:
        assert find_dataset("birds").title == "birds"
        group = "reff_bench.backbones"
        assert own_module("wings", BACKBONES, group) == "offer"
        assert own_module("resnet18", BACKBONES, group) is None  # built in
        assert own_module("timm/wings", BACKBONES, group) is None
        axes = "axes: {method: [baseline], backbone: [wings, timm/wings]}\n"
        configs = configs_of(tmp_path, SMALL + axes)
        assert [config.code_identity is None for config in configs] == [False, True]
    finally:
        installed.cache_clear()


def test_every_name_of_the_catalog_can_be_imported() -> None:
    for spec in DATASETS.values():
        assert spec.read is None or callable(import_object(str(spec.read)))
    for backbone in BACKBONES.values():
        assert callable(import_object(str(backbone.make)))


def make_tree(root: Path, **changes: Any) -> Tree:
    save_image(root / "1.jpg")
    part = {"images": (root / "1.jpg",), "masks": (None,), "labels": {"t": (0,)}}
    one = TreePart(**{**part, **changes})
    return Tree({"t": ("a", "b")}, {"train": one, "val": one, "test": one})


BROKEN: dict[str, dict[str, Any]] = {
    "1 images, 2 masks, 1 labels of t; there should be as many": {
        "masks": (None, None)
    },
    "labels of t: each image needs one in 0 to 1": {"labels": {"t": (2,)}},
    "labels of t: each image needs one": {"labels": {}},
    "there is no file .*absent": {"images": (Path("absent"),)},
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_tree_that_contradicts_itself_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=text):
        check_tree(make_tree(tmp_path, **BROKEN[text]), "mine:f", tmp_path)


def test_a_tree_gets_an_identity_of_names_sizes_and_labels(tmp_path: Path) -> None:
    one, same = (check_tree(make_tree(tmp_path), "m:f", tmp_path) for _ in range(2))
    other = check_tree(make_tree(tmp_path, labels={"t": (1,)}), "m:f", tmp_path)
    assert len(one.identity) == 64
    assert one.identity == same.identity != other.identity
    with pytest.raises(DataError, match="m:f gave a NoneType; it should be a"):
        check_tree(None, "m:f", tmp_path)
    with pytest.raises(DataError, match="has the parts train; they should be train"):
        check_tree(Tree({}, {"train": one.parts["train"]}), "m:f", tmp_path)


@pytest.mark.usefixtures("here")
def test_the_example_of_an_own_metric_is_that_of_scikit_learn() -> None:
    logits, labels = torch.randn(40, 3), torch.arange(40) % 3
    compute = find_metric("own_metric:brier").compute
    assert compute is not None
    found = compute(Predictions(logits, labels, labels, ("a", "b", "c"), ("g",)))
    expected = sum(  # its definition of each class, summed
        brier_score_loss((labels == k).numpy(), logits.softmax(1)[:, k].numpy())
        for k in range(3)
    )
    assert float(torch.as_tensor(found).mean()) == pytest.approx(expected)


NO_NUMBER = {
    "def f(p): return float('nan')": "metric mine:f is nan, which no table",
    "def f(p): return 1 / 0": "metric mine:f failed: ZeroDivisionError",
}


@pytest.mark.parametrize("text", NO_NUMBER)
def test_a_metric_that_gives_no_number_is_named(text: str, module: Write) -> None:
    module(text)
    labels = torch.zeros(4, dtype=torch.int64)
    split = Split(MemoryPixels(labels, labels), labels, labels, labels > 0, 28)
    data = Data(("a",), ("a",), {"test": split}, "", 28)
    with pytest.raises(RunError, match=NO_NUMBER[text]):
        measure_own(torch.zeros(4, 1), data, ["mine:f"])


def test_list_shows_all_that_a_grid_can_name() -> None:
    text = call("list").output
    for name in (*METHODS, *BACKBONES, *DATASETS, *METRICS, *METHOD_OPTIONS):
        assert re.search(rf"\b{name}\b", text), name
    result = call("list", "backbones")
    assert result.output.startswith("backbones:\n  resnet_small")
    assert "methods:" not in result.output
