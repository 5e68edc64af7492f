"""What is found out about networks before a grid runs."""

from pathlib import Path

import pytest
import torch

from reff_bench.grid.config import RunConfig
from reff_bench.grid.errors import GridError
from reff_bench.runner.check import check_networks
from tests.reff_bench.small import small_config


def config_on(backbone: str, method: str = "reff", **fields: object) -> RunConfig:
    return small_config(method, backbone=backbone, image_size=64, **fields)


@pytest.mark.parametrize("backbone", ["timm/resnet18", "efficientnet_lite0"])
def test_what_works_passes(backbone: str) -> None:
    check_networks([config_on(backbone, method) for method in ("reff", "abn")])


@pytest.mark.parametrize(
    ("backbone", "method", "message"),
    [
        (
            *("timm/mobilenetv3_small_050", "reff"),
            r"reff can't train timm/mobilenetv3_small_050 on images of 64 px: .*"
            "hardsigmoid_backward is not implemented",
        ),
        (
            "timm/mobilenetv3_small_050",
            "rrr",
            "hardsigmoid_backward is not implemented",
        ),
        ("timm/convnext_atto", "abn", "ABN on timm/convnext_atto: the last stage"),
        ("timm/vit_tiny_patch16_224", "baseline", "has no stages at strides 4, 8,"),
        (
            *("timm/swin_tiny_patch4_window7_224", "baseline"),
            "baseline can't train timm/swin.* 64 px: Input height",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_run(
    backbone: str, method: str, message: str
) -> None:
    with pytest.raises(GridError, match=message):
        check_networks([config_on(backbone, method)])


def test_first_order_methods_may_use_what_has_no_second_derivative() -> None:
    check_networks([config_on("timm/mobilenetv3_small_050", "baseline")])


def test_weights_are_read_before_the_first_run(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"conv1.weight": torch.ones(3)}, path)
    config = small_config("baseline", backbone="resnet18", weights=str(path))
    with pytest.raises(GridError, match=r"weights .*weights.pt don't fit resnet18: "):
        check_networks([config], download=False)


def test_a_dry_run_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*args: object, **options: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr("reff_bench.models.backbone.build_backbone", build)
    config = small_config("baseline", backbone="resnet18", weights="imagenet")
    check_networks([config], download=False)
    with pytest.raises(AssertionError, match="read"):
        check_networks([config])
