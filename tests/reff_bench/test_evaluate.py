import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reff_bench.catalog.options import STAGES
from reff_bench.data.backgrounds import open_backgrounds
from reff_bench.data.opening import open_data
from reff_bench.data.split import Data
from reff_bench.evaluate.checkpoint import evaluate_checkpoint, evaluate_run
from reff_bench.evaluate.focus import (
    EXPLANATIONS,
    explain_batch,
    measure_focus,
    rows_with_mask,
)
from reff_bench.evaluate.model import evaluate_model, predict
from reff_bench.grid.config import RunConfig, config_id
from reff_bench.methods.registry import find_method
from reff_bench.metrics.focus import METRICS
from reff_bench.models.output import Output
from reff_bench.results.json_file import Fields
from reff_bench.results.run import RunError, RunProgress, read_record, write_record
from reff_bench.train.checkpoint import load_checkpoint
from tests.reff_bench.small import (
    EVERY_STEP,
    StopNowError,
    folder_of,
    small_config,
    stop_when,
    train,
)
from tests.reff_bench.trees import make_isic, make_pets, tree_config


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return small_config(epochs=1)


@pytest.fixture(scope="module")
def folder(
    config: RunConfig, tmp_path_factory: pytest.TempPathFactory, cache_dir: Path
) -> Path:
    out = tmp_path_factory.mktemp("evaluate")
    train(config, out, cache_dir)
    return folder_of(out, config)


def test_a_finished_run_gets_its_metrics(
    config: RunConfig, folder: Path, cache_dir: Path
) -> None:
    reports: list[RunProgress] = []
    metrics = evaluate_run(config, folder, cache_dir=cache_dir, report=reports.append)
    written = read_record(folder, "evaluation.json")
    assert written == {"cell_id": config_id(config), **metrics}
    assert reports[0].stage == "evaluation"
    for split in ("val", "val_shifted", "test"):
        for kind in ("", "balanced_", "group_mean_", "worst_group_"):
            assert 0 <= metrics[f"{split}_{kind}accuracy"] <= 1
    assert metrics["worst_group_accuracy"] == metrics["test_worst_group_accuracy"]
    assert "0, other background" in metrics["test_group_accuracies"]
    record = read_record(folder) or {}
    assert record["val_accuracy"] == metrics["val_accuracy"]


def test_the_accuracy_is_the_share_of_right_predictions(
    config: RunConfig, folder: Path, cache_dir: Path
) -> None:
    data = open_data(config, cache_dir=cache_dir)
    model = find_method("baseline").build(config, 10, 0)
    model.load_state_dict(load_checkpoint(folder / "checkpoint.pt").model)
    test = data.splits["test"]
    right = (predict(model, test) == test.labels).double().mean()
    metrics = evaluate_checkpoint(folder / "checkpoint.pt", config, cache_dir=cache_dir)
    assert metrics["test_accuracy"] == pytest.approx(float(right))


def test_weights_of_the_users_own_are_evaluated(
    config: RunConfig, folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    ours = folder / "checkpoint.pt"
    weights = load_checkpoint(ours).model
    wrapped = {f"module.{name}": value for name, value in weights.items()}
    torch.save(wrapped, tmp_path / "mine.pt")  # test_weights has the other forms
    found = evaluate_checkpoint(tmp_path / "mine.pt", config, cache_dir=cache_dir)
    assert found == evaluate_checkpoint(ours, config, cache_dir=cache_dir)


def test_evaluation_downloads_no_weights(tmp_path: Path, cache_dir: Path) -> None:
    config = small_config(backbone="resnet18")
    model = find_method("baseline").build(config, 10, 0)
    torch.save(model.state_dict(), tmp_path / "mine.pt")
    pretrained = config.model_copy(update={"weights": "imagenet"})
    metrics = evaluate_checkpoint(tmp_path / "mine.pt", pretrained, cache_dir=cache_dir)
    assert metrics["test_accuracy"] is not None


@pytest.mark.usefixtures("every_report")
def test_a_run_without_weights_or_end_is_refused(
    config: RunConfig, tmp_path: Path, cache_dir: Path
) -> None:
    folder = folder_of(tmp_path, config)
    with pytest.raises(RunError, match=r"no checkpoint\.pt in .*; train the run"):
        evaluate_run(config, folder)
    stop = stop_when(lambda progress: progress.fraction > 0.5)
    with pytest.raises(StopNowError):
        train(config, tmp_path, cache_dir, report=stop, options=EVERY_STEP)
    with pytest.raises(RunError, match=r"isn't finished \(epoch 0 of 1\)"):
        evaluate_run(config, folder, cache_dir=cache_dir)


def test_files_that_hold_no_fitting_weights_are_refused(
    config: RunConfig, folder: Path, tmp_path: Path, cache_dir: Path
) -> None:
    path = tmp_path / "mine.pt"
    with pytest.raises(RunError, match=r"no weights file .*mine\.pt; give"):
        evaluate_checkpoint(path, config)
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(RunError, match=r"don't fit this run's model: .*such as"):
        evaluate_checkpoint(path, config, cache_dir=cache_dir)


def test_weights_that_are_not_finite_have_no_metrics(
    config: RunConfig, folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    weights = load_checkpoint(folder / "checkpoint.pt").model
    weights["fc.bias"][0] = 3e38
    weights["fc.weight"][:] = 3e38  # finite themselves: what comes out is not
    torch.save(weights, tmp_path / "mine.pt")
    with pytest.raises(RunError, match="outputs aren't finite, so that it predicts"):
        evaluate_checkpoint(tmp_path / "mine.pt", config, cache_dir=cache_dir)


def test_another_runs_checkpoint_is_not_evaluated(
    config: RunConfig, folder: Path, cache_dir: Path
) -> None:
    other = small_config(epochs=1, seed=1)
    with pytest.raises(RunError, match=r"checkpoint.pt belongs to the run .*, not"):
        evaluate_run(other, folder, cache_dir=cache_dir)


def test_a_damaged_annotator_is_named(
    config: RunConfig, folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    run = tmp_path / "cells" / folder.name
    shutil.copytree(folder, run)
    record = {**(read_record(folder) or {}), "annotator_key": "0" * 16}
    write_record(run, record)
    place = tmp_path / "annotators" / ("0" * 16)
    place.mkdir(parents=True)
    (place / "annotator.pt").write_bytes(b"nothing")
    with pytest.raises(RunError, match="no readable annotator; delete it"):
        evaluate_run(config, run, cache_dir=cache_dir)


ROWS = torch.arange(40)
OWN = "tests.reff_bench.own_methods"


def build(method: str, seed: int = 3) -> nn.Module:
    """A network as it was drawn; its BatchNorm has seen nothing."""
    return find_method(method).build(small_config(method), 10, seed).eval()


def known(metrics: Fields, *names: str) -> list[str]:
    """Those explanations whose energy pointing game isn't None."""
    return [name for name in (*EXPLANATIONS, *names) if metrics[f"epg_{name}"]]


@pytest.mark.parametrize("method", ["baseline", "abn"])
def test_every_metric_has_its_name_and_range(method: str, data: Data) -> None:
    found = measure_focus(build(method), data.splits["test"], ROWS)
    assert found["focus_samples"] == 40
    expected = {
        *METRICS,
        *("focus_samples", "epg_chance", "off_mask_central_share_chance"),
        *(f"{metric}_{name}" for metric in METRICS for name in EXPLANATIONS),
    }
    assert set(found) == expected
    shares = [v for k, v in found.items() if k != "focus_samples" and v is not None]
    assert all(0 <= share <= 1 for share in shares)
    attentive = method == "abn"
    assert known(found) == [*EXPLANATIONS[: len(EXPLANATIONS) - (not attentive)]]
    quoted = "attention" if attentive else "stage4_label"
    for metric in METRICS:
        assert found[metric] == found[f"{metric}_{quoted}"]


def test_the_chance_level_is_the_mean_area_of_the_masks(data: Data) -> None:
    test = data.splits["test"]
    found = measure_focus(build("baseline"), test, ROWS)
    masks = test.source.read(ROWS)[1].double()
    assert found["epg_chance"] == pytest.approx(float(masks.mean()))
    off = 1 - masks
    central = off[:, 7:21, 7:21].sum((1, 2)) / off.sum((1, 2))
    assert found["off_mask_central_share_chance"] == pytest.approx(
        float(central.mean())
    )


def test_the_metrics_depend_on_no_batch_size(data: Data) -> None:
    model = build("abn")
    once = measure_focus(model, data.splits["test"], ROWS[:12])
    for size in (1, 5):
        again = measure_focus(model, data.splits["test"], ROWS[:12], batch_size=size)
        for name, value in once.items():
            assert again[name] == pytest.approx(value, abs=1e-5), name


def test_the_maps_are_those_of_each_image_alone(data: Data) -> None:
    model, test = build("abn"), data.splits["test"]
    together = explain_batch(model, test.get(ROWS[:6])).maps
    assert set(together) == set(EXPLANATIONS)
    for k in range(6):
        for name, one in explain_batch(model, test.get([k])).maps.items():
            torch.testing.assert_close(one[0], together[name][k], atol=1e-6, rtol=1e-4)


def test_maps_for_the_predicted_class_are_those_of_its_label(data: Data) -> None:
    model, batch = build("baseline"), data.splits["test"].get(ROWS)
    explained = explain_batch(model, batch)
    right = explained.predicted == batch.label
    assert right.any()
    assert not right.all()
    for name in (*STAGES, "input_x_gradient"):
        label = explained.maps[f"{name}_label"]
        predicted = explained.maps[f"{name}_predicted"]
        torch.testing.assert_close(label[right], predicted[right])
        assert not torch.allclose(label[~right], predicted[~right])


class Linear(nn.Module):
    """Logit k is the sum of weights[k] * image: its gradient is its weights."""

    def __init__(self, weights: Tensor) -> None:
        """Take (K, 3, S, S) weights."""
        super().__init__()
        self.weights = weights

    def forward(self, image: Tensor) -> Output:
        """Classify (N, 3, S, S) images."""
        return Output(torch.einsum("nchw,kchw->nk", image, self.weights), {})


def test_input_times_gradient_has_its_closed_form(data: Data) -> None:
    weights = torch.randn(10, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    batch = data.splits["test"].get(ROWS)
    found = explain_batch(Linear(weights), batch).maps["input_x_gradient_label"]
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

    found = measure_focus(OnTheMask(), test, ROWS, batch_size=len(ROWS))
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
def test_a_network_of_the_users_own_may_lack_maps(
    kind: str, has: set[str], cache_dir: Path, data: Data
) -> None:
    config = small_config(f"{OWN}:{kind}")
    model = find_method(config.method).build(config, 10, 0)
    backgrounds = open_backgrounds(config, cache_dir=cache_dir)
    found = evaluate_model(model, data, backgrounds=backgrounds)
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
    annotated = torch.ones(len(test)).bool()
    annotated[1] = False

    class Some:
        def read(self, indices: Tensor) -> tuple[Tensor, Tensor]:
            return images[indices], masks[indices]

    split = replace(test, source=Some(), annotated=annotated)
    found = rows_with_mask(split, torch.arange(len(split)), 4)
    assert found.tolist() == [3, 5, 7, 9]
    assert rows_with_mask(split, torch.tensor([0, 1, 2]), 4).tolist() == []


def own_weights(config: RunConfig, classes: int, path: Path) -> Path:
    torch.save(find_method(config.method).build(config, classes, 0).state_dict(), path)
    return path


def test_without_test_masks_no_focus_is_known(tmp_path: Path) -> None:
    config = tree_config("isic2017", make_isic(tmp_path / "isic"))
    path = own_weights(config, 3, tmp_path / "mine.pt")
    found = evaluate_checkpoint(path, config, cache_dir=tmp_path / "cache")
    assert (found["focus_samples"], found["test_samples"]) == (0, 3)
    assert found["test_accuracy"] is not None
    for name in ("epg", "epg_stage4_label", "epg_chance", "background_gap"):
        assert found[name] is None
    assert "isic2017 can't be rendered" in found["backgrounds_missing"]


def test_photographs_with_masks_have_a_focus_and_no_gap(tmp_path: Path) -> None:
    config = tree_config("pets", make_pets(tmp_path / "pets"))
    path = own_weights(config, 2, tmp_path / "mine.pt")
    found = evaluate_checkpoint(path, config, cache_dir=tmp_path / "cache")
    assert found["focus_samples"] == found["test_samples"] == 4
    assert found["epg_chance"] == pytest.approx(0.5)
    assert found["epg_input_x_gradient_label"] is not None
    assert found["flip_rate"] is None
