"""From a method's name to one that works: `find_method`, `check_trainable`."""

import torch
from torch import Tensor

from reff_bench.catalog.find import CatalogError, import_object
from reff_bench.catalog.methods import METHODS, check_method, load_method
from reff_bench.data.batch import Batch
from reff_bench.grid.config import RunConfig
from reff_bench.methods.method import (
    Method,
    MethodError,
    StepContext,
    Terms,
    TrainingImages,
)
from reff_bench.models.output import ModelError

IMAGES, CLASSES = 2, 10
RESERVED = ("loss", "val_accuracy")  # what a record's history has of every method
PROGRESS = 0.9  # past any warm-up of a penalty
# What torch and networks raise at shapes and operations that they don't support.
REFUSALS = (RuntimeError, AssertionError, IndexError, TypeError, ValueError)


def find_method(name: str) -> Method:
    """Return a method: built in, installed, or one of the user's own.

    Args:
        name: of `reff_bench.catalog.methods.METHODS` or of an entry point, or
            `package.module:name`, a function without arguments that returns a `Method`.

    Raises:
        MethodError: there is none, or it can't be imported or isn't a method.
    """
    try:
        if check_method(name) in METHODS:
            method = import_object(METHODS[name].make)()
        else:
            method = load_method(name)
    except CatalogError as error:
        raise MethodError(str(error)) from None
    if not isinstance(method, Method):
        raise MethodError(
            f"{name!r} gave a {type(method).__name__}; it should be a function without "
            "arguments that returns a reff_bench.methods.Method"
        )
    return method


def check_trainable(config: RunConfig) -> None:
    """Take a step of a run's training on the meta device: nothing is computed.

    It finds networks that have no maps where a method needs them, and operations that
    can't be differentiated twice. Weights aren't read.

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


def check_terms(terms: object, method: str, images: int) -> None:
    """Refuse what a method can't return for some images; nothing waits for a device.

    Raises:
        MethodError: says what was returned, and what is expected.
    """
    if not isinstance(terms, Terms):
        raise MethodError(
            f"{method} returned a {type(terms).__name__} for a step; it should be a "
            "reff_bench.methods.Terms"
        )
    wrong = _find_mistake(terms, images)
    if wrong is not None:
        raise MethodError(f"the terms of {method}: {wrong}")


def _find_mistake(terms: Terms, images: int) -> str | None:
    logits: object = terms.logits
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != images:
        return f"the logits are {_form(logits)}; expected is a tensor ({images}, K)"
    if not terms.losses:
        return "there is no loss; at least one is needed"
    names = [*terms.losses, *terms.log]
    for name in names:
        if name in RESERVED or names.count(name) > 1:
            return (
                f"the name {name!r} is taken; a record keeps {', '.join(RESERVED)} and "
                "each loss and number of the log under its own name: choose another"
            )
    for name in terms.weights:
        if name not in terms.losses:
            known = ", ".join(terms.losses)
            return f"the weight {name!r} is of no loss (there are: {known})"
    return _find_wrong_number(terms)


def _find_wrong_number(terms: Terms) -> str | None:
    for name, loss in terms.losses.items():
        if not isinstance(loss, Tensor) or loss.ndim or not loss.is_floating_point():
            return f"the loss {name!r} is {_form(loss)}; expected is a scalar tensor"
    if not any(loss.requires_grad for loss in terms.losses.values()):
        return (
            "no loss has a graph, so nothing can be learned; don't detach them, and "
            "don't compute them under torch.no_grad()"
        )
    for name, value in {**terms.weights, **terms.log}.items():
        scalar = isinstance(value, Tensor) and value.numel() == 1
        if not scalar and not isinstance(value, int | float):
            return f"the number {name!r} is {_form(value)}; expected is one number"
    return None


def _form(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    return f"a {type(value).__name__}"
