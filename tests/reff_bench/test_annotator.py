import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from reff_bench.annotator.annotator import Annotator, iou_dice
from reff_bench.annotator.networks import PatchDiscriminator, UNetGenerator
from reff_bench.annotator.options import (
    AnnotatorError,
    AnnotatorOptions,
    Norm,
    fitting_downs,
)
from reff_bench.annotator.training import (
    AnnotatorDivergedError,
    linear_decay,
    train_annotator,
)
from tests.random_states import untouched
from tests.reff_bench.small import same

QUICK = AnnotatorOptions(base_channels=4, steps=3, batch_size=2)


def shapes(count: int, seed: int, size: int = 32) -> tuple[Tensor, Tensor]:
    """Striped boxes on gray noise: images in [-1, 1], masks in {0, 1}."""
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, size, size, generator=random) - 0.5
    masks = torch.zeros(count, 1, size, size)
    corners = torch.randint(0, size // 2, (count, 2), generator=random).tolist()
    for image, mask, (top, left) in zip(images, masks, corners, strict=True):
        box = (slice(None), slice(top, top + 14), slice(left, left + 14))
        mask[box] = 1
        image[box][:, ::2] = 1
    return images, masks


@pytest.fixture(scope="module")
def trained() -> Annotator:
    images, masks = shapes(64, seed=1)
    options = AnnotatorOptions(
        base_channels=8, steps=80, batch_size=8, learning_rate=2.0e-3
    )
    return train_annotator(images, masks, options, seed=3)


def equal(first: Annotator, second: Annotator) -> bool:
    return same(first.unet.state_dict(), second.unet.state_dict())


@pytest.mark.parametrize(
    ("size", "downs"),
    [(224, 5), (256, 7), (64, 5), (56, 3), (48, 4), (40, 3), (32, 4), (28, 2)],
)
def test_the_u_net_halves_as_often_as_the_image_allows(size: int, downs: int) -> None:
    assert fitting_downs((size, size)) == downs


@pytest.mark.parametrize("height", [32, 48, 224])
def test_the_u_net_gives_one_channel_of_the_images_size(height: int) -> None:
    unet = UNetGenerator(fitting_downs((height, 64)), base_channels=4)
    mask = unet(torch.randn(2, 3, height, 64))
    assert mask.shape == (2, 1, height, 64)
    assert mask.abs().max() <= 1


def test_the_u_net_doubles_its_channels_up_to_eight_times_the_base() -> None:
    unet = UNetGenerator(5, base_channels=64)
    shapes = [tuple(w.shape) for w in unet.downs.parameters() if w.ndim == 4]
    assert [shape[0] for shape in shapes] == [64, 128, 256, 512, 512]
    assert {shape[2:] for shape in shapes} == {(4, 4)}


@pytest.mark.parametrize(("size", "judgements"), [(224, 26), (32, 2), (24, 1)])
def test_the_discriminator_judges_patches(size: int, judgements: int) -> None:
    discriminator = PatchDiscriminator(base_channels=4)
    logits = discriminator(torch.zeros(2, 3, size, size), torch.zeros(2, 1, size, size))
    assert logits.shape == (2, 1, judgements, judgements)


def test_the_discriminator_has_the_papers_five_convolutions() -> None:
    layers = PatchDiscriminator().layers
    convolutions = [layer for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 128, 256, 512, 1]
    assert [layer.stride[0] for layer in convolutions] == [2, 2, 2, 1, 1]
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in layers) == 3


SIX = "6 downs need sides .* of 64 px.* 224 x 224 px; downs from 1 to 5 .* 256"
RANGE = r"; give floats in \[-1, 1\]"


def trained_on(
    images: Tensor | tuple[int, ...], masks: Tensor | tuple[int, ...]
) -> Annotator:
    images, masks = (
        one if isinstance(one, Tensor) else torch.zeros(one) for one in (images, masks)
    )
    return train_annotator(images, masks, QUICK)


NOT_FITTING: dict[str, Callable[[], object]] = {
    SIX: lambda: AnnotatorOptions(downs=6).resolve(10, (224, 224)),
    f"{SIX} px": lambda: UNetGenerator(6, 4)(torch.zeros(1, 3, 224, 224)),
    "no number of downs can take .*28 x 32": (
        lambda: AnnotatorOptions(downs=2).resolve(10, (29, 33))
    ),
    "no U-Net fits .*29 x 33 px.*28 x 32": lambda: fitting_downs((29, 33)),
    "nothing of images of 23 x 40 px; use .*24": (
        lambda: PatchDiscriminator(4)(*(torch.zeros(1, n, 23, 40) for n in (3, 1)))
    ),
    "nothing of images of 16 x 16 px": (
        lambda: AnnotatorOptions().resolve(10, (16, 16))
    ),
    r"images are \(2, 1, 32, 32\); give \(M, 3": (
        lambda: trained_on((2, 1, 32, 32), (2, 1, 32, 32))
    ),
    "M of 1 or more": lambda: trained_on((0, 3, 32, 32), (0, 1, 32, 32)),
    r"masks are \(2, 32, 32\); .*need \(2, 1, 32": (
        lambda: trained_on((2, 3, 32, 32), (2, 32, 32))
    ),
    f"to 1.5.*{RANGE}": (
        lambda: trained_on(torch.full((1, 3, 32, 32), 1.5), (1, 1, 32, 32))
    ),
    f"from nan.*{RANGE}": (
        lambda: trained_on(torch.full((1, 3, 32, 32), math.nan), (1, 1, 32, 32))
    ),
    "other values .*from 255.0 to 255.0": (
        lambda: trained_on((1, 3, 32, 32), torch.full((1, 1, 32, 32), 255.0))
    ),
    r"\(2, 4, 4\) and true masks \(2, 1, 2, 8": (
        lambda: iou_dice(torch.zeros(2, 4, 4), torch.zeros(2, 1, 2, 8))
    ),
}


@pytest.mark.parametrize("message", NOT_FITTING)
def test_what_does_not_fit_is_refused(message: str) -> None:
    with pytest.raises(AnnotatorError, match=message):
        NOT_FITTING[message]()


@pytest.mark.parametrize(
    ("count", "batch_size", "norm"), [(50, 1, "instance"), (51, 16, "batch")]
)
def test_small_subsets_train_one_by_one(count: int, batch_size: int, norm: str) -> None:
    options = AnnotatorOptions().resolve(count, (32, 32))
    assert (options.downs, options.batch_size, options.norm) == (4, batch_size, norm)
    assert AnnotatorOptions(batch_size=4).resolve(5, (32, 32)).norm == "batch"


NOT_ALLOWED: dict[str, tuple[Any, str]] = {
    "base_channels": (2, "greater than or equal to 4"),
    "downs": (9, "less than or equal to 8"),
    "steps": (0, "greater than or equal to 1"),
    "batch_size": (0, "greater than or equal to 1"),
    "norm": ("group", "'batch' or 'instance'"),
    "l1_weight": (-1, "greater than or equal to 0"),
    "learning_rate": (0, "greater than 0"),
    "beta1": (1, "less than 1"),
    "decay_from": (1.5, "less than or equal to 1"),
    "channels": (4, "not permitted"),
}


@pytest.mark.parametrize("option", NOT_ALLOWED)
def test_an_option_out_of_range_is_refused(option: str) -> None:
    value, allowed = NOT_ALLOWED[option]
    with pytest.raises(ValidationError, match=rf"(?s){option}.*{allowed}"):
        AnnotatorOptions(**{option: value})


def test_training_lowers_l1_and_finds_the_shapes(trained: Annotator) -> None:
    l1 = trained.losses["l1"]
    assert l1.shape == (trained.options.steps,)
    assert l1[-10:].mean() < 0.4 * l1[:10].mean()
    images, masks = shapes(32, seed=2)
    iou, dice = iou_dice(trained.predict(images), masks)
    trivial, _ = iou_dice(torch.ones_like(masks), masks)
    assert iou.mean() > 0.7 > 2 * trivial.mean()
    assert bool((dice >= iou).all())


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_mask_does_not_depend_on_the_other_images(norm: Norm) -> None:
    options = QUICK.model_copy(update={"norm": norm})
    annotator = train_annotator(*shapes(5, seed=1), options)
    images, _ = shapes(7, seed=4)
    together = annotator.predict(images)
    assert together.shape == (7, 32, 32)
    assert 0 <= together.min() <= together.max() <= 1
    assert torch.equal(together, annotator.predict(images))
    for batch_size in (1, 3):
        apart = annotator.predict(images, batch_size=batch_size)
        torch.testing.assert_close(apart, together, rtol=0, atol=1e-5)


def test_the_seed_alone_decides_and_global_state_is_left_alone(tmp_path: Path) -> None:
    images, masks = shapes(5, seed=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        again = train_annotator(images, masks, QUICK, seed=3)
    with untouched():
        first, other = (train_annotator(images, masks, QUICK, seed=s) for s in (3, 4))
        first.save(tmp_path / "annotator.pt")
        Annotator.load(tmp_path / "annotator.pt")
    assert equal(first, again)
    assert not equal(first, other)


def test_bytes_and_floats_give_the_same_annotator() -> None:
    images, masks = shapes(5, seed=1)
    stored = ((images + 1) * 127.5).round().to(torch.uint8)
    floats = stored.to(torch.float32) / 127.5 - 1
    first = train_annotator(stored, masks.to(torch.uint8), QUICK)
    second = train_annotator(floats, masks.bool(), QUICK)
    assert equal(first, second)
    assert torch.equal(first.predict(stored), second.predict(floats))


def test_progress_is_reported_every_50_steps_and_at_the_end() -> None:
    images, masks = shapes(3, seed=1, size=24)
    options = AnnotatorOptions(base_channels=4, steps=60, batch_size=1)
    told: list[tuple[Any, ...]] = []
    train_annotator(images, masks, options, progress=lambda *one: told.append(one))
    assert [one[:2] for one in told] == [(50, 60), (60, 60)]
    for *_, losses in told:
        assert {*losses} == {"l1", "adversarial", "discriminator"}


def test_the_rate_is_constant_then_falls_to_nothing() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    adam = torch.optim.Adam([parameter], lr=1.0)
    schedule = linear_decay(adam, AnnotatorOptions(steps=8))
    rates = []
    for _ in range(9):
        rates.append(adam.param_groups[0]["lr"])
        adam.step()
        schedule.step()
    assert rates == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]


def test_a_loss_that_is_no_number_ends_the_training_with_its_step() -> None:
    images, masks = shapes(2, seed=1)
    options = QUICK.model_copy(update={"l1_weight": 1.0e300})
    told = "infinite or not a number in step 2 of 3; try a learning_rate below 0.0002"
    with pytest.raises(AnnotatorDivergedError, match=told):
        train_annotator(images, masks, options)


def test_a_saved_annotator_comes_back(trained: Annotator, tmp_path: Path) -> None:
    path = tmp_path / "annotator.pt"
    trained.save(path)
    loaded = Annotator.load(path)
    images, _ = shapes(4, seed=6)
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"annotator.pt", "annotator.pt.sha256"}
    assert (loaded.options, loaded.size) == (trained.options, trained.size)
    assert torch.equal(loaded.losses["l1"], trained.losses["l1"])
    assert torch.equal(loaded.predict(images), trained.predict(images))


def test_a_file_that_is_no_annotator_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "annotator.pt"
    with pytest.raises(FileNotFoundError, match=r"no annotator at .*train it first"):
        Annotator.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(AnnotatorError, match="no readable annotator; delete it"):
        Annotator.load(path)
    torch.save({"schema_version": 99}, path)
    with pytest.raises(AnnotatorError, match="schema version 99; this release reads 1"):
        Annotator.load(path)
    torch.save([1], path)
    with pytest.raises(AnnotatorError, match="schema version None"):
        Annotator.load(path)


def test_images_of_another_size_are_refused(trained: Annotator) -> None:
    with pytest.raises(AnnotatorError, match=r"trained on \(N, 3, 32, 32\)"):
        trained.predict(torch.zeros(1, 3, 64, 64))


def test_iou_and_dice_are_right_by_hand_and_for_empty_masks() -> None:
    true = torch.tensor([[[1, 1], [0, 0]]])
    mask = torch.tensor([[[0.5, 0.4], [0.9, 0.1]]])
    assert [x.item() for x in iou_dice(mask, true)] == pytest.approx([1 / 3, 1 / 2])
    iou, _ = iou_dice(mask, true, threshold=0.3)
    assert iou.tolist() == pytest.approx([2 / 3])
    nothing, something = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    assert [x.item() for x in iou_dice(nothing, nothing)] == [1, 1]
    assert [x.item() for x in iou_dice(something, nothing)] == [0, 0]
    assert [x.item() for x in iou_dice(nothing, something)] == [0, 0]
