import shutil
from pathlib import Path

import pytest
import torch

from reff_bench.data.opening import open_data
from reff_bench.evaluate.checkpoint import evaluate_checkpoint, evaluate_run
from reff_bench.evaluate.model import predict
from reff_bench.grid.config import RunConfig, config_id
from reff_bench.methods.registry import find_method
from reff_bench.results.progress import RunError, RunProgress
from reff_bench.results.run import read_record, write_record
from reff_bench.train.checkpoint import load_checkpoint
from tests.reff_bench.small import (
    EVERY_STEP,
    StopNowError,
    folder_of,
    small_config,
    stop_when,
    train,
)


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
