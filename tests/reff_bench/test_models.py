import logging
from pathlib import Path
from unittest.mock import Mock
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, hub, nn
from torch.nn import functional as F
from torchvision import models

from reff_bench.catalog.backbones import BACKBONES
from reff_bench.models.attention_branch import AttentionBranchNetwork
from reff_bench.models.backbone import build_backbone
from reff_bench.models.output import ModelError

SMALL_PARAMETERS = 124_666
STAGES = ["stage1", "stage2", "stage3", "stage4"]


def random_images(size: int, count: int = 2) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, size, size, generator=draws)


def same_weights(one: nn.Module, other: nn.Module, prefix: str = "") -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return all(
        ours[name].equal(theirs[name]) for name in ours if name.startswith(prefix)
    )


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [one for one in network.modules() if isinstance(one, nn.Conv2d)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [(32, [16, 8, 8, 8]), (48, [24, 12, 12, 12]), (56, [28, 14, 14, 14])],
)
def test_the_small_network_keeps_its_maps_large(size: int, expected: list[int]) -> None:
    output = build_backbone("resnet_small", 10)(random_images(size))
    assert [one.shape[2] for one in output.stages.values()] == expected
    assert output.logits.shape == (2, 10)
    assert output.attention is None
    assert output.attention_logits is None


def test_the_small_network_is_small_and_its_channels_are_multiples_of_16() -> None:
    network = build_backbone("resnet_small", 10)
    assert {one.out_channels for one in convolutions(network)} == {16, 32, 48, 64}
    assert sum(one.numel() for one in network.parameters()) == SMALL_PARAMETERS


def test_the_small_network_learns() -> None:
    network, images = build_backbone("resnet_small", 2, seed=0), random_images(32, 8)
    labels = torch.arange(8) % 2
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(12):
        loss = F.cross_entropy(network(images).logits, labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_resnet50_at_224_has_the_papers_maps() -> None:
    with torch.device("meta"):  # for shapes, nothing has to be computed
        output = build_backbone("resnet50", 10)(torch.zeros(1, 3, 224, 224))
    shapes = [tuple(one.shape[1:]) for one in output.stages.values()]
    assert list(output.stages) == STAGES
    assert shapes == [(256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7)]


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_its_stages_with_their_graph(name: str) -> None:
    output = build_backbone(name, 3)(random_images(32))
    stages = list(output.stages.values())
    gradients = torch.autograd.grad(output.logits[:, 0].sum(), stages)
    assert list(output.stages) == STAGES
    assert all(one.abs().sum() > 0 for one in gradients)


def test_values_equal_torchvisions() -> None:
    theirs = models.resnet18(weights=None, num_classes=5).eval()
    ours = build_backbone("resnet18", 5).eval()
    ours.load_state_dict(theirs.state_dict())
    images = random_images(64)
    torch.testing.assert_close(ours(images).logits, theirs(images))


@pytest.mark.parametrize("name", ["resnet_small", "timm/mobilenetv2_050"])
def test_a_seed_fixes_the_weights_and_leaves_the_global_state_alone(name: str) -> None:
    before = torch.get_rng_state()
    one, same = (build_backbone(name, 10, seed=7) for _ in range(2))
    other = build_backbone(name, 10, seed=8)
    assert torch.get_rng_state().equal(before)
    assert same_weights(one, same)
    assert not same_weights(one, other)


@pytest.mark.parametrize("name", ["resnet_small", "resnet18"])
def test_a_local_file_gives_its_weights_and_a_head_for_other_classes_is_replaced(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "weights.pt"
    saved = build_backbone(name, 7, seed=0)
    torch.save(saved.state_dict(), path)
    assert same_weights(saved, build_backbone(name, 7, weights=str(path), seed=1))
    with caplog.at_level(logging.WARNING):
        loaded = build_backbone(name, 4, weights=str(path), seed=1)
    assert "are for 7 classes; the head starts afresh for 4" in caplog.text
    assert same_weights(loaded, saved, "layer")
    assert same_weights(loaded, build_backbone(name, 4, seed=1), "fc")


def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    path, network = tmp_path / "weights.pt", build_backbone("resnet_small", 4)

    def check(message: str) -> None:
        with pytest.raises(ModelError, match=message):
            build_backbone("resnet_small", 4, weights=str(path))

    check(r"no weights file .*weights.pt; give the path of a state dict")
    torch.save(network, path)  # an object that only an unsafe load would build
    check(r"weights.pt can't be read \(Unp.*\); give a state dict .*weights_only")
    torch.save([torch.ones(1)], path)
    check(r"weights.pt holds no state dict; give a dict of names and tensors")
    torch.save(build_backbone("resnet18", 4).state_dict(), path)
    check(r"don't fit resnet_small: \d+ missing, \d+ unknown, \d+ of")
    state = network.state_dict()
    state.pop("conv1.weight")
    torch.save(state, path)
    check(r"1 missing, 0 unknown, 0 of another .*, such as conv1.weight; give")


def test_imagenet_weights_that_cannot_be_had_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_network = Mock(side_effect=URLError("no network"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(hub, "download_url_to_file", no_network)
    message = (
        r"ImageNet weights of resnet50 are not in .*checkpoints/resnet50-\w+\.pth and "
        r"could not be downloaded or read \(.*no network.*put https://.* there, or give"
    )
    with pytest.raises(ModelError, match=message):
        build_backbone("resnet50", 4, weights="imagenet")


def test_imagenet_weights_on_disk_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    made = models.resnet18(weights=None)  # in the place of torchvision's file
    name = Path(models.ResNet18_Weights.IMAGENET1K_V1.url).name
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(made.state_dict(), tmp_path / "hub" / "checkpoints" / name)
    network = build_backbone("resnet18", 4, weights="imagenet")
    assert same_weights(network, made, "layer")
    assert len(network.get_parameter("fc.bias")) == 4
    abn = AttentionBranchNetwork("resnet18", 4, weights="imagenet")
    assert same_weights(abn.branch.layer4, made.layer4)


@pytest.mark.parametrize(
    ("name", "classes", "weights", "message"),
    [
        ("resnet", 4, None, "unknown backbone 'resnet'; did you mean 'resnet50'"),
        ("resnet18", 0, None, "num_classes is 0; allowed: 1 or more"),
        ("resnet_small", 4, "imagenet", "no ImageNet weights for resnet_small; allowe"),
    ],
)
def test_a_model_that_does_not_exist_is_refused(
    name: str, classes: int, weights: str | None, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        build_backbone(name, classes, weights=weights)
    with pytest.raises(ModelError, match="map_kernel is 5; allowed: 1, 3"):
        AttentionBranchNetwork("resnet18", 5, map_kernel=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("name", ["resnet_small", "resnet18", "resnet50"])
def test_shapes_of_abn(name: str, kernel: int) -> None:
    network = AttentionBranchNetwork(name, 5, map_kernel=kernel)  # type: ignore[arg-type]
    output = network(random_images(64))
    h = output.stages["stage3"].shape[2]
    assert list(output.stages) == STAGES
    assert output.attention_logits is not None
    assert output.logits.shape == output.attention_logits.shape == (2, 5)
    assert output.attention is not None
    assert output.attention.shape == (2, 1, h, h)
    assert ((output.attention > 0) & (output.attention < 1)).all()
    head = network.branch.map_head[0]
    assert isinstance(head, nn.Conv2d)
    assert head.kernel_size == (kernel, kernel)


@pytest.mark.parametrize(("multiplicative", "added"), [(False, 1), (True, 0)])
def test_a_map_is_multiplied_and_the_features_are_added_unless_asked_otherwise(
    multiplicative: bool, added: int
) -> None:
    network = AttentionBranchNetwork(
        "resnet_small", 5, multiplicative_only=multiplicative
    )
    features = torch.randn(2, 64, 8, 8)
    empty = network.attend(features, torch.zeros(2, 1, 8, 8))
    assert empty.equal(added * features)
    full = network.attend(features, torch.ones(2, 1, 8, 8))
    torch.testing.assert_close(full, (1 + added) * features)


@pytest.mark.parametrize("name", ["resnet_small", "efficientnet_lite0"])
def test_abn_without_attention_is_its_backbone(name: str) -> None:
    network = AttentionBranchNetwork(name, 5).eval()
    assert isinstance(network.branch.map_head[1], nn.BatchNorm2d)
    nn.init.constant_(network.branch.map_head[1].bias, -200.0)  # sigmoid(-200) is 0
    nn.init.zeros_(network.branch.map_head[1].weight)
    with torch.no_grad():
        found, expected = (
            one(random_images(64)) for one in (network, network.backbone)
        )
    torch.testing.assert_close(found.logits, expected.logits)


@pytest.mark.parametrize("head", ["attention_logits", "logits"])
def test_each_head_trains_what_it_looks_at_and_not_the_other_head(head: str) -> None:
    network = AttentionBranchNetwork("resnet_small", 5)
    logits = getattr(network(random_images(32)), head)
    torch.autograd.backward(F.cross_entropy(logits, torch.tensor([0, 1])))
    trained = {name for name, one in network.named_parameters() if one.grad is not None}
    perceives = head == "logits"
    assert "backbone.conv1.weight" in trained
    assert any(name.startswith("backbone.layer4.") for name in trained) == perceives
    assert ("backbone.fc.weight" in trained) == perceives
    assert ("branch.map_head.0.weight" in trained) == perceives
    assert ("branch.label_head.weight" in trained) != perceives


def test_from_scratch_the_branch_has_weights_of_its_own() -> None:
    network = AttentionBranchNetwork("resnet_small", 5, seed=0)
    own = network.branch.layer4.get_parameter("0.conv1.weight")
    assert not own.equal(network.backbone.get_parameter("layer4.0.conv1.weight"))
    assert same_weights(network, AttentionBranchNetwork("resnet_small", 5, seed=0))
    assert same_weights(network.backbone, build_backbone("resnet_small", 5, seed=0))


def test_the_branchs_copy_of_stage_4_keeps_the_size() -> None:
    with torch.device("meta"):
        network = AttentionBranchNetwork("resnet50", 5)
    assert {one.stride for one in convolutions(network.branch)} == {(1, 1)}
    copied = network.backbone.get_submodule("layer4").state_dict()
    assert copied.keys() == network.branch.layer4.state_dict().keys()
