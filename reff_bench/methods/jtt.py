"""JTT, "just train twice" (Liu et al. 2021): the first training's errors weigh more."""

import torch
from torch import Tensor, nn

from reff_bench.catalog.options import JttOptions
from reff_bench.grid.config import RunConfig
from reff_bench.methods.baseline import baseline_terms, build_plain
from reff_bench.methods.method import (
    Found,
    Method,
    Training,
    TrainingImages,
    read_options,
)

AT_ONCE = 256


def jtt() -> Method:
    """Return the method.

    Liu et al. 2021 (arXiv:2107.09044): Baseline for some epochs (`first_share` of the
    run's, which come on top of them); the training images that it gets wrong; Baseline
    from the first weights again, these images weighing `upweight` times as much.

    There an epoch is longer by the repeated images; here it keeps its length and draws
    with replacement, an error `upweight` times as likely as another image [assumed], so
    that the second stage has Baseline's steps. It is given no groups; published weights
    were chosen by the worst group of a validation split. Where the first stage makes no
    error, as it does with a usual learning rate, the second is Baseline: the record
    says so.
    """
    return Method(
        build_plain,
        baseline_terms,
        options=JttOptions,
        supervision="none",
        state=_no_errors,
        sampling=_sample,
        before_epoch=_begin_stage,
    )


class Errors(nn.Module):
    """What the first stage got wrong.

    Args:
        count: of the training images.

    Attributes:
        wrong: (n,) bool.
    """

    wrong: Tensor

    def __init__(self, count: int) -> None:
        """Begin without an error."""
        super().__init__()
        self.register_buffer("wrong", torch.zeros(count, dtype=torch.bool))


def _no_errors(config: RunConfig, images: TrainingImages, seed: int) -> Errors:
    return Errors(len(images.labels))


def _sample(
    config: RunConfig, images: TrainingImages, state: nn.Module
) -> Tensor | None:
    assert isinstance(state, Errors), "the method's own"
    wrong = state.wrong.cpu()
    if not wrong.any():
        return None
    upweight = read_options(config, JttOptions).upweight
    return torch.where(wrong, upweight, 1.0).double()


def _begin_stage(training: Training, epoch: int) -> Found:
    config = training.config
    if epoch != read_options(config, JttOptions).first_epochs(config.epochs):
        return {}
    assert isinstance(training.state, Errors), "the method's own"
    training.state.wrong.copy_(_find_errors(training))
    training.restart()
    count = int(training.state.wrong.sum())
    found: dict[str, object] = {"jtt_errors": count}
    if count == 0:
        found["notes"] = [
            f"JTT: the first stage of {epoch} epochs made no error on the training "
            "images, so the second is Baseline; a smaller first_share leaves some"
        ]
    return found


@torch.no_grad()
def _find_errors(training: Training) -> Tensor:
    """Return whether each training image is got wrong, (n,) bool."""
    training.model.eval()
    found = [
        training.model(batch.image).logits.argmax(1) != batch.label
        for batch in training.splits["train"].in_order(AT_ONCE, training.device)
    ]
    return torch.cat(found)
