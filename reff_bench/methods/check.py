"""One step by shapes alone, before anything is trained: `check_trainable`."""

import torch

from reff_bench.data.batch import Batch
from reff_bench.grid.config import RunConfig
from reff_bench.methods.method import MethodError, StepContext, TrainingImages
from reff_bench.methods.registry import find_method
from reff_bench.models import ModelError

IMAGES, CLASSES = 2, 10
PROGRESS = 0.9  # past any warm-up of a penalty
# What torch and networks raise at shapes and operations that they don't support.
REFUSALS = (RuntimeError, AssertionError, IndexError, TypeError, ValueError)


def check_trainable(config: RunConfig) -> None:
    """Take a step of a run's training on the meta device: nothing is computed.

    It finds networks that have no maps where a method needs them, and operations that
    can't be differentiated twice.

    Args:
        config: what is going to be trained; weights aren't read.

    Raises:
        ModelError: the model can't be built.
        MethodError: it can't be trained by the method.
    """
    method = find_method(config.method)
    with torch.device("meta"):
        bare = config.model_copy(update={"weights": None})
        model = method.build(bare, CLASSES, 0)
        batch = _make_batch(config.image_size)
    zeros = torch.zeros(IMAGES, dtype=torch.int64)
    # Not on the meta device: which groups have an image is read from it.
    images = TrainingImages(zeros, zeros, CLASSES, 1)
    state = method.build_state(bare, images, 1).to("meta").train()
    step = StepContext(
        *(model.train(), batch, config, PROGRESS, torch.Generator()), state=state
    )
    try:
        torch.autograd.backward(method.terms(step).total())
    except ModelError:
        raise
    except REFUSALS as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MethodError(
            f"{config.method} can't train {config.backbone} on images of "
            f"{config.image_size} px: {reason}"
        ) from None


def _make_batch(size: int) -> Batch:
    return Batch(
        image=torch.zeros(IMAGES, 3, size, size),
        label=torch.zeros(IMAGES, dtype=torch.int64),
        mask=torch.zeros(IMAGES, size, size),
        annotated=torch.ones(IMAGES, dtype=torch.bool),
        group=torch.zeros(IMAGES, dtype=torch.int64),
        index=torch.zeros(IMAGES, dtype=torch.int64),
    )
