import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reff_bench.annotator.annotator import Annotator
from reff_bench.data.opening import open_data
from reff_bench.evaluate.checkpoint import evaluate_run
from reff_bench.evaluate.focus import explain_batch
from reff_bench.evaluate.panels import make_panels, panel_rows
from reff_bench.grid.config import RunConfig
from reff_bench.methods.registry import find_method
from reff_bench.results.json_file import ResultsError
from reff_bench.results.panels import Panels, read_panels, write_panels
from reff_bench.train.annotate import annotator_path
from reff_bench.train.checkpoint import load_checkpoint
from tests.reff_bench.small import finish, folder_of, small_config
from tests.reff_bench.trees import make_isic, tree_config


def panels_in(folder: Path) -> Panels:
    panels = read_panels(folder)
    assert panels is not None
    return panels


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("panels")


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return small_config("reff", annotations=2, epochs=1)


@pytest.fixture(scope="module")
def folder(config: RunConfig, out: Path, cache_dir: Path) -> Path:
    return finish(config, out, cache_dir)


def test_panels_hold_the_first_test_image_of_each_class(
    folder: Path, config: RunConfig, cache_dir: Path
) -> None:
    panels = panels_in(folder)
    test = open_data(config, cache_dir=cache_dir).splits["test"]
    labels = test.labels.tolist()
    assert panels["label"].tolist() == sorted(set(labels))[:8]
    assert panels["index"].tolist() == [labels.index(k) for k in panels["label"]]
    images, masks = test.source.read(torch.from_numpy(panels["index"]))
    np.testing.assert_array_equal(panels["image"], images.permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(panels["mask"], masks.numpy())
    kinds = {name: panels[name].dtype.str for name in panels}
    assert kinds["image"] == kinds["mask"] == "|u1"
    assert kinds["label"] == kinds["index"] == kinds["predicted"] == "<i8"
    assert panels["class_names"].tolist() == [str(digit) for digit in range(10)]


def test_panels_hold_the_maps_of_the_finished_weights(
    folder: Path, config: RunConfig, cache_dir: Path
) -> None:
    panels = panels_in(folder)
    model = find_method("reff").build(config, 10, 0)
    model.load_state_dict(load_checkpoint(folder / "checkpoint.pt").model)
    test = open_data(config, cache_dir=cache_dir).splits["test"]
    explained = explain_batch(model.eval(), test.get(torch.from_numpy(panels["index"])))
    np.testing.assert_array_equal(panels["predicted"], explained.predicted.numpy())
    for name in ("stage1", "stage2", "stage3", "stage4"):
        assert panels[name].dtype == np.float32
        assert panels[name].min() >= 0
        expected = explained.maps[f"{name}_label"].numpy()
        np.testing.assert_allclose(panels[name], expected, rtol=1e-4, atol=1e-7)
    assert "attention" not in panels


def test_pseudo_masks_are_those_of_the_annotator_that_the_record_names(
    folder: Path,
) -> None:
    key = json.loads((folder / "record.json").read_text())["annotator_key"]
    annotator = Annotator.load(annotator_path(folder, key))
    panels = panels_in(folder)
    images = torch.from_numpy(panels["image"]).permute(0, 3, 1, 2)
    expected = annotator.predict(images).numpy()
    np.testing.assert_allclose(panels["pseudo_mask"], expected, atol=1e-6)


def test_runs_of_the_same_data_show_the_same_images(
    folder: Path, out: Path, cache_dir: Path
) -> None:
    other = panels_in(finish(small_config("abn", epochs=1), out, cache_dir))
    ours = panels_in(folder)
    for name in ("image", "mask", "label", "index", "class_names"):
        np.testing.assert_array_equal(ours[name], other[name])
    assert other["attention"].shape[0] == len(other["label"])
    assert "pseudo_mask" not in other


def test_an_annotator_that_is_gone_leaves_the_rest(
    folder: Path, config: RunConfig, out: Path, tmp_path: Path, cache_dir: Path
) -> None:
    shutil.copytree(out, tmp_path / "copy")
    folder = folder_of(tmp_path / "copy", config)
    key = json.loads((folder / "record.json").read_text())["annotator_key"]
    annotator_path(folder, key).unlink()
    evaluate_run(config, folder, cache_dir=cache_dir, device="cpu")
    panels = panels_in(folder)
    assert "pseudo_mask" not in panels
    assert {"image", "mask", "stage4"} <= set(panels)


def test_a_test_split_without_masks_lends_the_validation_images(tmp_path: Path) -> None:
    config = tree_config("isic2017", make_isic(tmp_path / "isic"))
    data = open_data(config, cache_dir=tmp_path / "cache")
    model = find_method("baseline").build(config, 3, 0).eval()
    panels = make_panels(model, data, None)
    images, masks = data.splits["val"].source.read(torch.from_numpy(panels["index"]))
    np.testing.assert_array_equal(panels["image"], images.permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(panels["mask"], masks.numpy())
    assert masks.flatten(1).any(1).all()
    # Without any mask there are images all the same.
    assert panel_rows(data.splits["test"]).tolist() == [0, 1, 2]
    splits = {**data.splits, "val": data.splits["test"]}
    panels = make_panels(model, replace(data, splits=splits), None)
    assert panels["image"].shape == (3, 32, 32, 3)
    assert not panels["mask"].any()


def test_panels_are_read_as_they_were_written_unless_they_were_changed(
    tmp_path: Path,
) -> None:
    assert read_panels(tmp_path) is None
    write_panels(tmp_path, {"label": np.arange(3), "class_names": np.array(["a"])})
    panels = panels_in(tmp_path)
    assert panels["label"].tolist() == [0, 1, 2]
    path = tmp_path / "panels.npz"
    assert {*tmp_path.iterdir()} == {path, tmp_path / "panels.npz.sha256"}
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ResultsError, match=r"panels.npz is broken; 'reff-bench eval"):
        read_panels(tmp_path)


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04broken"])
def test_broken_panels_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "panels.npz").write_bytes(content)
    with pytest.raises(ResultsError, match=r"panels.npz is broken; 'reff-bench eval"):
        read_panels(tmp_path)
