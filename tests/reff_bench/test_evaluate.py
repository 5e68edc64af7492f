import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reff_bench.annotator.annotator import Annotator
from reff_bench.catalog.options import STAGES
from reff_bench.data.backgrounds import open_backgrounds
from reff_bench.data.opening import open_data
from reff_bench.data.pixels import MemoryPixels
from reff_bench.data.split import Data, Split
from reff_bench.evaluate import focus
from reff_bench.evaluate.checkpoint import evaluate_checkpoint, evaluate_run
from reff_bench.evaluate.model import evaluate_model, predict
from reff_bench.evaluate.panels import make_panels, panel_rows
from reff_bench.grid.config import RunConfig, config_id
from reff_bench.methods.registry import find_method
from reff_bench.metrics.focus import METRICS
from reff_bench.models.output import Output
from reff_bench.results.json_file import Fields, ResultsError
from reff_bench.results.panels import Panels, read_panels, write_panels
from reff_bench.results.run import RunError, RunProgress, read_record
from reff_bench.train.annotate import annotator_path
from reff_bench.train.checkpoint import load_checkpoint
from tests.reff_bench.small import (
    EVERY_STEP,
    StopNowError,
    finish,
    folder_of,
    small_config,
    stop_when,
    train,
)
from tests.reff_bench.trees import make_isic, make_pets, tree_config

CONFIG = small_config("reff", annotations=2, epochs=1)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture(scope="module")
def folder(out: Path) -> Path:
    return finish(CONFIG, out)


def panels_in(folder: Path) -> Panels:
    panels = read_panels(folder)
    assert panels is not None
    return panels


def check_images(panels: Panels, split: Split) -> Tensor:
    """The panels have the images and masks of a split; return the masks."""
    images, masks = split.source.read(torch.from_numpy(panels["index"]))
    np.testing.assert_array_equal(panels["image"], images.permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(panels["mask"], masks.numpy())
    return masks


def test_a_finished_run_gets_its_metrics(folder: Path) -> None:
    reports: list[RunProgress] = []
    metrics = evaluate_run(CONFIG, folder, report=reports.append)
    written = read_record(folder, "evaluation.json")
    assert written == {"cell_id": config_id(CONFIG), **metrics}
    assert reports[0].stage == "evaluation"
    for split in ("val", "val_shifted", "test"):
        for kind in ("", "balanced_", "group_mean_", "worst_group_"):
            assert 0 <= metrics[f"{split}_{kind}accuracy"] <= 1
    assert metrics["worst_group_accuracy"] == metrics["test_worst_group_accuracy"]
    assert "0, other background" in metrics["test_group_accuracies"]
    record = read_record(folder) or {}
    assert record["val_accuracy"] == metrics["val_accuracy"]


def test_weights_are_evaluated_whatever_their_names(
    folder: Path, data: Data, tmp_path: Path
) -> None:
    weights = load_checkpoint(folder / "checkpoint.pt").model
    model, test = trained_model(folder), data.splits["test"]
    right = (predict(model, test) == test.labels).double().mean()
    metrics = evaluate_checkpoint(folder / "checkpoint.pt", CONFIG)
    assert metrics["test_accuracy"] == pytest.approx(float(right))
    wrapped = {f"module.{name}": value for name, value in weights.items()}
    torch.save(wrapped, tmp_path / "mine.pt")  # test_weights has the other forms
    assert evaluate_checkpoint(tmp_path / "mine.pt", CONFIG) == metrics


def trained_model(folder: Path) -> nn.Module:
    model = find_method("reff").build(CONFIG, 10, 0)
    model.load_state_dict(load_checkpoint(folder / "checkpoint.pt").model)
    return model.eval()


def test_panels_hold_the_maps_of_the_finished_weights(folder: Path, data: Data) -> None:
    panels = panels_in(folder)
    batch = data.splits["test"].get(torch.from_numpy(panels["index"]))
    explained = focus.explain_batch(trained_model(folder), batch)
    np.testing.assert_array_equal(panels["predicted"], explained.predicted.numpy())
    for name in STAGES:
        assert panels[name].dtype == np.float32
        assert panels[name].min() >= 0
        expected = explained.maps[f"{name}_label"].numpy()
        np.testing.assert_allclose(panels[name], expected, rtol=1e-4, atol=1e-7)
    assert "attention" not in panels


def test_evaluation_downloads_no_weights(tmp_path: Path) -> None:
    config = small_config(backbone="resnet18")
    model = find_method("baseline").build(config, 10, 0)
    torch.save(model.state_dict(), tmp_path / "mine.pt")
    pretrained = config.model_copy(update={"weights": "imagenet"})
    metrics = evaluate_checkpoint(tmp_path / "mine.pt", pretrained)
    assert metrics["test_accuracy"] is not None


@pytest.mark.usefixtures("every_report")
def test_a_run_without_weights_or_end_is_refused(tmp_path: Path) -> None:
    config = small_config(epochs=1)
    folder = folder_of(tmp_path, config)
    with pytest.raises(RunError, match=r"no checkpoint\.pt in .*; train the run"):
        evaluate_run(config, folder)
    stop = stop_when(lambda progress: progress.fraction > 0.5)
    with pytest.raises(StopNowError):
        train(config, tmp_path, report=stop, options=EVERY_STEP)
    with pytest.raises(RunError, match=r"isn't finished \(epoch 0 of 1\)"):
        evaluate_run(config, folder)


def test_files_that_hold_no_fitting_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    with pytest.raises(RunError, match=r"no weights file .*mine\.pt; give"):
        evaluate_checkpoint(path, CONFIG)
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(RunError, match=r"don't fit this run's model: .*such as"):
        evaluate_checkpoint(path, CONFIG)


def test_weights_that_are_not_finite_have_no_metrics(
    folder: Path, tmp_path: Path
) -> None:
    weights = load_checkpoint(folder / "checkpoint.pt").model
    weights["fc.bias"][0] = 3e38
    weights["fc.weight"][:] = 3e38  # finite themselves: what comes out is not
    torch.save(weights, tmp_path / "mine.pt")
    with pytest.raises(RunError, match="outputs aren't finite, so that it predicts"):
        evaluate_checkpoint(tmp_path / "mine.pt", CONFIG)


def test_another_runs_checkpoint_is_not_evaluated(folder: Path) -> None:
    with pytest.raises(RunError, match=r"checkpoint.pt belongs to the run .*, not"):
        evaluate_run(small_config(epochs=1, seed=1), folder)


def test_pseudo_masks_are_those_of_the_annotator_that_the_record_names(
    folder: Path, out: Path, tmp_path: Path
) -> None:
    key = (read_record(folder) or {})["annotator_key"]
    panels = panels_in(folder)
    images = torch.from_numpy(panels["image"]).permute(0, 3, 1, 2)
    expected = Annotator.load(annotator_path(folder, key)).predict(images).numpy()
    np.testing.assert_allclose(panels["pseudo_mask"], expected, atol=1e-6)
    shutil.copytree(out, tmp_path / "copy")
    other = folder_of(tmp_path / "copy", CONFIG)
    annotator_path(other, key).write_bytes(b"nothing")
    with pytest.raises(RunError, match="no readable annotator; delete it"):
        evaluate_run(CONFIG, other)
    annotator_path(other, key).unlink()
    evaluate_run(CONFIG, other)
    panels = panels_in(other)
    assert "pseudo_mask" not in panels
    assert {"image", "mask", "stage4"} <= {*panels}


ROWS = torch.arange(40)
OWN = "tests.reff_bench.own_methods"


def build(method: str, seed: int = 3) -> nn.Module:
    """A network as it was drawn; its BatchNorm has seen nothing."""
    return find_method(method).build(small_config(method), 10, seed).eval()


def known(metrics: Fields, *names: str) -> list[str]:
    """Those explanations whose energy pointing game isn't None."""
    return [name for name in (*focus.EXPLANATIONS, *names) if metrics[f"epg_{name}"]]


@pytest.mark.parametrize("method", ["baseline", "abn"])
def test_every_metric_has_its_name_and_range(method: str, data: Data) -> None:
    found = focus.measure_focus(build(method), data.splits["test"], ROWS[:16])
    expected = {
        *METRICS,
        *("focus_samples", "epg_chance", "off_mask_central_share_chance"),
        *(f"{metric}_{name}" for metric in METRICS for name in focus.EXPLANATIONS),
    }
    assert set(found) == expected
    assert found.pop("focus_samples") == 16
    assert all(0 <= share <= 1 for share in found.values() if share is not None)
    names = focus.EXPLANATIONS if method == "abn" else focus.EXPLANATIONS[:-1]
    assert known(found) == [*names]
    quoted = "attention" if method == "abn" else "stage4_label"
    for metric in METRICS:
        assert found[metric] == found[f"{metric}_{quoted}"]
    # The chance level of EPG is the mean area of the masks.
    masks = data.splits["test"].source.read(ROWS[:16])[1].double()
    assert found["epg_chance"] == pytest.approx(float(masks.mean()))
    off = 1 - masks
    central = off[:, 7:21, 7:21].sum((1, 2)) / off.sum((1, 2))
    chance = pytest.approx(float(central.mean()))
    assert found["off_mask_central_share_chance"] == chance


def test_the_metrics_depend_on_no_batch_size(data: Data) -> None:
    model, test = build("abn"), data.splits["test"]
    once = focus.measure_focus(model, test, ROWS[:4])
    for size in (1, 3):
        again = focus.measure_focus(model, test, ROWS[:4], batch_size=size)
        for name, value in once.items():
            assert again[name] == pytest.approx(value, abs=1e-5), name


def test_maps_for_the_predicted_class_are_those_of_its_label(data: Data) -> None:
    model, batch = build("baseline"), data.splits["test"].get(ROWS)
    explained = focus.explain_batch(model, batch)
    right = explained.predicted == batch.label
    assert right.any()
    assert not right.all()
    for name in (*STAGES, "input_x_gradient"):
        label = explained.maps[f"{name}_label"]
        predicted = explained.maps[f"{name}_predicted"]
        torch.testing.assert_close(label[right], predicted[right])
        assert not torch.allclose(label[~right], predicted[~right])


def test_input_times_gradient_has_its_closed_form(data: Data) -> None:
    weights = torch.randn(10, 3, 28, 28, generator=torch.Generator().manual_seed(0))

    class Linear(nn.Module):
        def forward(self, image: Tensor) -> Output:
            """Logit k is the sum of weights[k] * image: its gradient is weights[k]."""
            return Output(torch.einsum("nchw,kchw->nk", image, weights), {})

    batch = data.splits["test"].get(ROWS)
    found = focus.explain_batch(Linear(), batch).maps["input_x_gradient_label"]
    expected = (batch.image * weights[batch.label]).abs().sum(1)
    torch.testing.assert_close(found, expected)


def test_a_network_that_reads_the_mask_alone_has_all_its_mass_there(data: Data) -> None:
    test = data.splits["test"]
    mask = test.get(ROWS).mask

    class OnTheMask(nn.Module):
        def forward(self, image: Tensor) -> Output:
            """Sum the image's magnitude over the mask."""
            inside = (image.abs() * mask[:, None]).sum((1, 2, 3))
            logits = F.pad(inside[:, None], (0, 9))
            return Output(logits + inside[:, None], {})

    found = focus.measure_focus(OnTheMask(), test, ROWS, batch_size=len(ROWS))
    assert found["epg_input_x_gradient_label"] == 1.0
    assert found["pointing_game_input_x_gradient_label"] == 1.0
    assert found["epg"] is None


@pytest.mark.parametrize(
    ("kind", "has"),
    [
        ("bare", {"input_x_gradient"}),
        ("detached", set()),
        ("odd", {"input_x_gradient", "block"}),
    ],
)
def test_an_own_network_may_lack_maps(kind: str, has: set[str], data: Data) -> None:
    config = small_config(f"{OWN}:{kind}")
    model = find_method(config.method).build(config, 10, 0)
    found = evaluate_model(model, data, backgrounds=open_backgrounds(config))
    assert found["epg"] is None
    assert found["focus_samples"] == 40
    assert found["background_gap"] is not None
    block = ("block_label", "block_predicted") if kind == "odd" else ()
    names = [f"{name}_{target}" for name in has for target in ("label", "predicted")]
    assert {*known(found, *block)} == {*names}


def test_only_masks_that_are_there_and_not_empty_count(data: Data) -> None:
    test = data.splits["test"]
    images, masks = test.source.read(torch.arange(len(test)))
    masks = masks.clone()
    masks[::2] = 0
    annotated = torch.arange(len(test)) != 1
    split = replace(test, source=MemoryPixels(images, masks), annotated=annotated)
    found = focus.rows_with_mask(split, torch.arange(len(split)), 4)
    assert found.tolist() == [3, 5, 7, 9]
    assert focus.rows_with_mask(split, torch.tensor([0, 1, 2]), 4).tolist() == []


def evaluated(config: RunConfig, classes: int, folder: Path) -> Fields:
    """The metrics of a network as it was drawn."""
    model = find_method(config.method).build(config, classes, 0)
    torch.save(model.state_dict(), folder / "mine.pt")
    return evaluate_checkpoint(folder / "mine.pt", config)


def test_without_test_masks_no_focus_is_known(tmp_path: Path) -> None:
    config = tree_config("isic2017", make_isic(tmp_path / "isic"))
    found = evaluated(config, 3, tmp_path)
    assert (found["focus_samples"], found["test_samples"]) == (0, 3)
    assert found["test_accuracy"] is not None
    for name in ("epg", "epg_stage4_label", "epg_chance", "background_gap"):
        assert found[name] is None
    assert "isic2017 can't be rendered" in found["backgrounds_missing"]


def test_photographs_with_masks_have_a_focus_and_no_gap(tmp_path: Path) -> None:
    config = tree_config("pets", make_pets(tmp_path / "pets"))
    found = evaluated(config, 2, tmp_path)
    assert found["focus_samples"] == found["test_samples"] == 4
    assert found["epg_chance"] == pytest.approx(0.5)
    assert found["epg_input_x_gradient_label"] is not None
    assert found["flip_rate"] is None


def test_panels_hold_the_first_image_of_each_class(folder: Path, data: Data) -> None:
    panels = panels_in(folder)
    test = data.splits["test"]
    labels = test.labels.tolist()
    assert panels["label"].tolist() == sorted(set(labels))[:8]
    assert panels["index"].tolist() == [labels.index(k) for k in panels["label"]]
    check_images(panels, test)
    kinds = {name: panels[name].dtype.str for name in panels}
    assert kinds["image"] == kinds["mask"] == "|u1"
    assert kinds["label"] == kinds["index"] == kinds["predicted"] == "<i8"
    assert panels["class_names"].tolist() == [str(digit) for digit in range(10)]


def test_runs_of_the_same_data_show_the_same_images(folder: Path, out: Path) -> None:
    other = panels_in(finish(small_config("abn", epochs=1), out))
    ours = panels_in(folder)
    for name in ("image", "mask", "label", "index", "class_names"):
        np.testing.assert_array_equal(ours[name], other[name])
    assert other["attention"].shape[0] == len(other["label"])
    assert "pseudo_mask" not in other


def test_a_test_split_without_masks_lends_the_validation_images(tmp_path: Path) -> None:
    config = tree_config("isic2017", make_isic(tmp_path / "isic"))
    data = open_data(config)
    model = find_method("baseline").build(config, 3, 0).eval()
    panels = make_panels(model, data, None)
    assert check_images(panels, data.splits["val"]).flatten(1).any(1).all()
    # Without any mask there are images all the same.
    assert panel_rows(data.splits["test"]).tolist() == [0, 1, 2]
    splits = {**data.splits, "val": data.splits["test"]}
    panels = make_panels(model, replace(data, splits=splits), None)
    assert panels["image"].shape == (3, 32, 32, 3)
    assert not panels["mask"].any()


def test_panels_are_read_as_they_were_written_unless_changed(tmp_path: Path) -> None:
    assert read_panels(tmp_path) is None
    write_panels(tmp_path, {"label": np.arange(3), "class_names": np.array(["a"])})
    panels = panels_in(tmp_path)
    assert panels["label"].tolist() == [0, 1, 2]
    path, digest = tmp_path / "panels.npz", tmp_path / "panels.npz.sha256"
    assert {*tmp_path.iterdir()} == {path, digest}
    for content in (path.read_bytes() + b" ", b"", b"nothing", b"PK\x03\x04broken"):
        path.write_bytes(content)
        with pytest.raises(ResultsError, match=r"panels.npz is broken; 'reff-bench e"):
            read_panels(tmp_path)
        digest.unlink(missing_ok=True)  # those of earlier releases have none
