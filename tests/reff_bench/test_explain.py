from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reff_bench.explain import SCORES, Score, class_score, grad_cam
from reff_bench.models.backbone import build_backbone

CLASSES = 4


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return build_backbone("resnet18", CLASSES, seed=0).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


TARGET = torch.tensor([0, 3, 1])


def stage_maps(network: nn.Module, images: Tensor, **options: Any) -> list[Tensor]:
    output = network(images)
    return grad_cam(output.logits, TARGET, list(output.stages.values()), **options)


class LogitsOnly(nn.Module):
    """The network as other libraries expect it: logits alone."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap a network."""
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Classify."""
        logits: Tensor = self.network(x).logits
        return logits


def assert_close(maps: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    assert len(maps) == len(expected) == 4
    for one, other in zip(maps, expected, strict=True):
        assert one.shape == other.shape
        assert other.max() > 1e-3
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5 * one.max().item())


def test_values_equal_captum(network: nn.Module, images: Tensor) -> None:
    attr = pytest.importorskip("captum.attr")
    wrapped = LogitsOnly(network)
    expected = [
        attr.LayerGradCam(wrapped, getattr(network, f"layer{number}"))
        .attribute(images, target=TARGET, relu_attributions=True)
        .detach()
        .squeeze(1)
        for number in (1, 2, 3, 4)
    ]
    assert_close(stage_maps(network, images), expected)


def test_values_equal_torch_cam(network: nn.Module, images: Tensor) -> None:
    methods = pytest.importorskip("torchcam.methods")
    wrapped = LogitsOnly(network)
    layers = [f"network.layer{number}" for number in (1, 2, 3, 4)]
    with methods.GradCAM(wrapped, layers, input_shape=(3, 64, 64)) as extractor:
        scores = wrapped(images.requires_grad_())
        expected = extractor(TARGET.tolist(), scores, normalized=False)
    assert_close(stage_maps(network, images.detach()), expected)


def test_the_last_layer_has_its_closed_form(network: nn.Module, images: Tensor) -> None:
    output = network(images)
    last = output.stages["stage4"]
    (found,) = grad_cam(output.logits, TARGET, [last])
    fc = network.get_submodule("fc")
    assert isinstance(fc, nn.Linear)
    expected = torch.einsum("nk,nkhw->nhw", fc.weight[TARGET], last).relu()
    torch.testing.assert_close(found, (expected / last[0, 0].numel()).detach())


@pytest.mark.parametrize("train", [False, True])
def test_one_call_equals_a_call_per_layer(images: Tensor, train: bool) -> None:
    output = build_backbone("resnet_small", CLASSES, seed=0).train(train)(images)
    stages = list(output.stages.values())
    maps = grad_cam(output.logits, TARGET, stages)
    single = [grad_cam(output.logits, TARGET, [stage])[0] for stage in stages]
    torch.testing.assert_close(list(maps), single)


def test_without_relu_maps_have_a_sign(network: nn.Module, images: Tensor) -> None:
    signed = stage_maps(network, images, relu=False)
    assert all(one.min() < 0 for one in signed)
    assert_close(stage_maps(network, images), [one.relu() for one in signed])


def test_without_create_graph_maps_are_constants_and_the_loss_still_goes_back(
    images: Tensor,
) -> None:
    network = build_backbone("resnet_small", CLASSES, seed=0)
    output = network(images)
    maps = grad_cam(output.logits, TARGET, list(output.stages.values()))
    assert not any(one.requires_grad for one in maps)
    torch.autograd.backward(F.cross_entropy(output.logits, TARGET))
    assert network.get_parameter("conv1.weight").grad is not None


@pytest.mark.parametrize(("detach", "times"), [(False, 2), (True, 1)])
def test_gradients_flow_through_weights_not_detached(detach: bool, times: int) -> None:
    A = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]], requires_grad=True)
    logits = (A.square().sum() / 2).reshape(1, 1)  # and so alpha = mean(A)
    target = torch.tensor([0])
    (one,) = grad_cam(logits, target, [A], create_graph=True, detach_weights=detach)
    (found,) = torch.autograd.grad(one.sum(), A)
    # sum(G) = mean(A) sum(A), whose derivative is 2 mean(A).
    torch.testing.assert_close(found, torch.full_like(A, times * A.mean().item()))


def test_detached_weights_never_go_back_twice(images: Tensor) -> None:
    network = build_backbone("resnet_small", CLASSES, seed=0)
    maps = stage_maps(network, images, create_graph=True, detach_weights=True)
    seen, todo = set(), [one.grad_fn for one in maps]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [following for following, _ in node.next_functions]
    names = {node.name() for node in seen}
    assert "ConvolutionBackward0" in names
    assert not any(name.startswith("ConvolutionBackwardBackward") for name in names)


LOGITS = torch.tensor([[2.0, 0.5, -1.0, 3.0], [1.0, 0.0, 4.0, -2.0]])
LABELS = torch.tensor([0, 2])


DEFINITIONS: dict[Score, Tensor] = {
    "logit": torch.tensor([2.0, 4.0]),
    "margin": torch.tensor([2.0 - 2.5 / 3, 4.0 + 1.0 / 3]),
    "log_probability": -F.cross_entropy(LOGITS, LABELS, reduction="none"),
}


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_scores_are_their_definitions(kind: Score) -> None:
    found = class_score(LOGITS, LABELS, kind)
    torch.testing.assert_close(found, DEFINITIONS[kind])


@pytest.mark.parametrize("score", SCORES)
def test_a_score_is_explained(network: nn.Module, images: Tensor, score: Score) -> None:
    output = network(images)
    last = output.stages["stage4"]
    (found,) = grad_cam(output.logits, TARGET, [last], score=score)
    value = class_score(output.logits, TARGET, score).sum()
    (gradient,) = torch.autograd.grad(value, last)
    expected = (gradient.mean((2, 3), keepdim=True) * last).sum(1).relu()
    torch.testing.assert_close(found, expected.detach())


def test_bfloat16_maps_are_summed_in_float32() -> None:
    A = torch.rand(2, 3, 4, 4).bfloat16().requires_grad_()
    (found,) = grad_cam(A.mean((2, 3)), torch.tensor([0, 2]), [A])
    assert found.dtype == torch.float32


def test_what_can_not_be_explained_is_named(network: nn.Module, images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"score is 'x'; allowed: logit, margin, log_"):
        class_score(LOGITS, LABELS, "x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'margin' needs 2 classes or more, 1 given"):
        class_score(torch.ones(2, 1), torch.tensor([0, 0]), "margin")
    with torch.no_grad(), pytest.raises(ValueError, match=r"outside torch\.no_grad"):
        stage_maps(network, images)
    A = torch.rand(1, 2, 2, 2).half().requires_grad_()
    with pytest.raises(ValueError, match="Grad-CAM in float16 would overflow; run"):
        grad_cam(A.mean((2, 3)), torch.tensor([0]), [A])
