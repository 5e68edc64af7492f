"""What a method is: `Method`, and what it gives in a step: `Terms`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from reff_bench.catalog.methods import Supervision
from reff_bench.catalog.option import Options, plain
from reff_bench.grid.config import RunConfig
from reff_bench.models.output import Output
from texturedmnist.common.renamed import warn_renamed

if TYPE_CHECKING:
    from reff_bench.data.batch import Batch
    from reff_bench.data.split import Split


Kind = TypeVar("Kind", bound=Options)


class MethodError(ValueError):
    """A method that can't be used: says which and what is expected."""


def read_options(config: RunConfig, kind: type[Kind]) -> Kind:
    """Return a run's method options as the model that lists them."""
    if isinstance(config.options, kind):
        return config.options
    return kind(**plain(config.options))


def moved(drawn: Tensor, device: torch.device) -> Tensor:
    """Hand what was drawn on the CPU to the device, without waiting for it."""
    if device.type == "cuda":  # only from pinned memory is a copy sure not to wait
        drawn = drawn.pin_memory()
    return drawn.to(device, non_blocking=True)


@dataclass(frozen=True, slots=True)
class StepContext:
    """One training step, as a method sees it.

    Examples:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> from reff_bench import StepContext, Terms, build_backbone
        >>> def losses(step: StepContext) -> Terms:
        ...     logits = step.forward(step.batch.image).logits
        ...     loss = torch.nn.functional.cross_entropy(logits, step.batch.label)
        ...     return Terms(logits, {"cross_entropy": loss})
        >>> batch = SimpleNamespace(
        ...     image=torch.zeros(2, 3, 32, 32), label=torch.tensor([3, 8])
        ... )
        >>> run = SimpleNamespace(method="own:plain", options=None)
        >>> model = build_backbone("resnet_small", 10)
        >>> draws = torch.Generator()
        >>> step = StepContext(model, batch, run, progress=0.0, generator=draws)
        >>> losses(step).logits.shape
        torch.Size([2, 10])

    Attributes:
        model: in training mode.
        batch: of the training split.
        config: the run.
        progress: share of all steps that are done, in [0, 1); a scalar tensor where
            the step is traced, to hold for other steps as well.
        generator: of the step's own randomness, on the CPU; the same whatever ran
            before.
        autocast: the type of mixed precision, or None.
        state: what the method keeps beside the model; empty for most.
    """

    model: nn.Module
    batch: "Batch"
    config: RunConfig
    progress: float | Tensor
    generator: torch.Generator
    autocast: torch.dtype | None = None
    state: nn.Module = field(default_factory=nn.Module)

    @property
    def cell(self) -> RunConfig:
        """The run, under its old name."""
        warn_renamed("step.cell", "step.config")
        return self.config

    def forward(self, image: Tensor, model: nn.Module | None = None) -> Output:
        """Run the model on (N, 3, S, S) images, in mixed precision if it is on.

        Args:
            image: what to classify.
            model: another one than the step's, of the method's state.

        Raises:
            MethodError: the model doesn't return an `Output`.
        """
        context = (
            nullcontext()
            if self.autocast is None
            else torch.autocast(image.device.type, dtype=self.autocast)
        )
        with context:
            output: Output = (model or self.model)(image)
        if not isinstance(getattr(output, "logits", None), Tensor):
            raise MethodError(
                f"the model of {self.config.method} returned a "
                f"{type(output).__name__}; "
                "it should be a reff_bench.models.Output, whose logits are a tensor"
            )
        return output

    @contextmanager
    def running_statistics(self) -> Iterator[None]:
        """Forward with each image by itself: no norm layer looks at the batch.

        Norms that keep running statistics use them, and leave them as they are (all
        kinds of BatchNorm do); the others (LayerNorm, GroupNorm) never look beyond one
        image.
        """
        norms = [
            one
            for one in self.model.modules()
            if one.training and getattr(one, "running_var", None) is not None
        ]
        for one in norms:
            one.eval()
        try:
            yield
        finally:
            for one in norms:
                one.train()

    def options(self, kind: type[Kind]) -> Kind:
        """Return the method's options as the model that lists them."""
        return read_options(self.config, kind)

    def warm(self, weight: float) -> float | Tensor:
        """Return a weight as far as it has risen, linearly over the option `warmup`."""
        warmup = getattr(self.config.options, "warmup", 0.0)
        if not warmup:
            return weight
        risen = self.progress / warmup
        if isinstance(risen, Tensor):
            return weight * risen.clamp(max=1.0)
        return weight * min(1.0, risen)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a method wants minimized in a step.

    Examples:
        >>> import torch
        >>> from reff_bench import Terms
        >>> losses = {"cross_entropy": torch.tensor(2.0), "penalty": torch.tensor(0.1)}
        >>> terms = Terms(torch.zeros(4, 10), losses, weights={"penalty": 10.0})
        >>> terms.total()
        tensor(3.)

    Attributes:
        logits: (N, K), the prediction.
        losses: scalars with their graph, by name, not weighted.
        weights: of `losses`; 1 where none is given.
        log: further numbers to average over an epoch; what is computed on the device
            stays a scalar tensor there, since a float would make the step wait for it.
    """

    logits: Tensor
    losses: Mapping[str, Tensor]
    weights: Mapping[str, float | Tensor] = field(default_factory=dict)
    log: Mapping[str, Tensor | float] = field(default_factory=dict)

    def total(self) -> Tensor:
        """Return the weighted sum of the losses."""
        weighted = [
            self.weights.get(name, 1.0) * loss for name, loss in self.losses.items()
        ]
        return torch.stack(weighted).sum()


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """What is known of the training images as a whole.

    Attributes:
        labels: (n,) int64.
        groups: (n,) int64.
        num_classes: K.
        num_groups: G, those without an image included.
    """

    labels: Tensor
    groups: Tensor
    num_classes: int
    num_groups: int


@dataclass(frozen=True, slots=True)
class Training:
    """A training between two epochs, as a method of several stages sees it.

    Attributes:
        config: the run.
        model: on the device.
        state: what the method keeps beside the model.
        splits: `train` and `val` among others.
        images: of the training split.
        device: where the model is.
        restart: gives the model its first weights and a fresh optimizer.
    """

    config: RunConfig
    model: nn.Module
    state: nn.Module
    splits: Mapping[str, "Split"]
    images: TrainingImages
    device: torch.device
    restart: Callable[[], None]


# What a stage has to say, for the run's record; `notes` is a list of sentences.
Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Method:
    """How a classifier is built and trained.

    All but `build` and `terms` is optional. What a method does besides its steps must
    follow from its arguments alone: then a run that is killed goes on to equal weights.

    Examples:
        >>> import torch
        >>> from reff_bench import Method, StepContext, Terms, build_plain
        >>> def losses(step: StepContext) -> Terms:
        ...     logits = step.forward(step.batch.image).logits
        ...     loss = torch.nn.functional.cross_entropy(logits, step.batch.label)
        ...     return Terms(logits, {"cross_entropy": loss})
        >>> def plain() -> Method:  # a grid names it as `module:plain`
        ...     return Method(build_plain, losses, uses_masks=False, title="Plain")
        >>> plain().title
        'Plain'

    Attributes:
        build: run, number of classes, seed of the first weights -> model, whose
            output is a `reff_bench.models.Output`.
        terms: the losses of a step.
        second_order: whether they hold gradients of the model, as maps do. Then
            `torch.compile` needs the whole step, which must draw nothing at random.
        options: a model of its options; None: those of ReFF, ABN and background swap.
        uses_masks: False for a method that doesn't depend on annotations.
        title: its name in tables; None: that of the function that returns it.
        supervision: what it is given beside images and labels; None: `masks` or, where
            it doesn't depend on annotations, `none`.
        state: run, training images, seed -> a module that is kept beside the model
            during the training (`StepContext.state`): its parameters are optimized and
            its buffers kept in checkpoints, and it isn't deployed.
        sampling: run, training images, state -> (n,) weights with which an epoch's n
            images are drawn, with replacement; None: every image once.
        before_epoch: called where an epoch begins, with its number from 0.
        after_training: called after the last epoch; may change the model.
        prepare: images (N, 3, S, S), normalized, and masks (N, S, S) -> what the model
            sees of them, in training and ever after.
    """

    build: Callable[[RunConfig, int, int], nn.Module]
    terms: Callable[[StepContext], Terms]
    second_order: bool = False
    options: type[Options] | None = None
    uses_masks: bool = True
    title: str | None = None
    supervision: Supervision | None = None
    state: Callable[[RunConfig, TrainingImages, int], nn.Module] | None = None
    sampling: Callable[[RunConfig, TrainingImages, nn.Module], Tensor | None] | None = (
        None
    )
    before_epoch: Callable[[Training, int], Found] | None = None
    after_training: Callable[[Training], Found] | None = None
    prepare: Callable[[Tensor, Tensor], Tensor] | None = None

    def build_state(
        self, config: RunConfig, images: TrainingImages, seed: int
    ) -> nn.Module:
        """Return what is kept beside the model; empty where there is nothing."""
        return nn.Module() if self.state is None else self.state(config, images, seed)
