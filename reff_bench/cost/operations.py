"""The operations that a run consists of, and how often: `estimate_work`."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from reff_bench.catalog.datasets import find_dataset
from reff_bench.catalog.methods import is_own, known_method
from reff_bench.catalog.option import plain
from reff_bench.grid.config import GridError, RunConfig
from reff_bench.grid.fields import TRAINING_KEYS
from reff_bench.identity.configs import read_tree
from reff_bench.identity.tree import DataError

TITLES = {
    "train": "training step",
    "predict": "image predicted",
    "explain": "image explained",
    "annotate": "annotator's step",
    "mask": "pseudo-mask",
}
# What changes how many steps there are or what they compute, but not their time.
WITHOUT_INFLUENCE = {
    *("annotation_unit", "epochs", "flips", "loader_workers", "lr", "momentum"),
    *("swap_probability", "warmup", "weight", "weight_decay", "weights"),
    *("balance", "balanced_batches", "first_share", "gce_q", "group_step"),
    *("loss_memory", "radius", "refits", "regularization", "upweight"),
}
# What a pseudo-annotator doesn't depend on.
CLASSIFIER_ONLY = {
    *({*TRAINING_KEYS} - {"annotation_unit", "threads"}),
    *("method", "root", "weights_identity"),
}
EXPLAINED = 256  # images of the test split, at most
PANELS = 8  # images in the figures, at most, one of a class
# Other backgrounds (aligned, random, counterfactual) and 2 x 2 shortcuts.
RENDERINGS = 7
VALIDATED = 1000  # images, at most, on which an annotator is validated
FEW_ANNOTATIONS, BATCH = 50, 16  # up to so many the annotator's batches are of one
TRAIN_SHARE = 0.9  # of `trainval`
DIGITS = 10


@dataclass(frozen=True, slots=True)
class Operation:
    """Work that takes the same time in every run that does it.

    Attributes:
        kind: a key of `TITLES`: one step of the classifier, the prediction of one
            image, the maps and metrics of one image, one step of the pseudo-annotator,
            the pseudo-mask of one image.
        settings: everything that its time depends on but the device, as JSON.
    """

    kind: str
    settings: str

    @classmethod
    def of(cls, kind: str, settings: Mapping[str, Any]) -> "Operation":
        """Return the operation with these settings, in whatever order."""
        return cls(kind, json.dumps(settings, sort_keys=True))

    def value(self, name: str) -> Any:  # noqa: ANN401 (of any type)
        """Return a setting, None where the operation doesn't have it."""
        return json.loads(self.settings).get(name)


@dataclass(frozen=True, slots=True)
class WorkEstimate:
    """The work of one run.

    Attributes:
        operations: how often each is done for this run alone.
        annotator: what stands for its pseudo-annotator, None where it has none; it is
            made once for all runs of one key.
        annotator_operations: how often each is done for the annotator.
    """

    operations: Mapping[Operation, float]
    annotator: str | None = None
    annotator_operations: Mapping[Operation, float] = field(default_factory=dict)

    def seconds(self, times: Mapping[Operation, float]) -> float:
        """Return the seconds that the run takes, its annotator included."""
        both = (*self.operations.items(), *self.annotator_operations.items())
        return sum(count * times[operation] for operation, count in both)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of images of each split, and of classes; whether test images have masks.

    Without a shifted validation split its number is 0.
    """

    train: int
    val: int
    val_shifted: int
    test: int
    classes: int
    masked_test: bool = True


def estimate_work(config: RunConfig) -> WorkEstimate:
    """Return the work of a run, from its training to its metrics.

    A step with fewer images than a batch counts as that fraction of a step. Reading and
    rendering pixels, checkpoints and the start of a process aren't counted.
    """
    sizes = count_images(config)
    explained = min(EXPLAINED, sizes.test) if sizes.masked_test else 0
    predicted = (
        config.all_epochs * sizes.val + sizes.val + sizes.val_shifted + sizes.test
    )
    if config.dataset == "textured_mnist":
        predicted += RENDERINGS * explained
    training = dict.fromkeys(("method", "image_size", *TRAINING_KEYS))
    training.update(dict.fromkeys(plain(config.options)))
    network = ["backbone", "image_size", "threads", "map_kernel", "multiplicative_only"]
    network += ["method"] if is_own(config.method) else []
    operations = {
        _operation(
            "train",
            config,
            [name for name in training if name not in WITHOUT_INFLUENCE],
        ): config.all_epochs * sizes.train / config.batch_size,
        _operation("predict", config, network): float(predicted),
        _operation("explain", config, network): float(
            explained + min(PANELS, sizes.classes)
        ),
    }
    annotated = count_annotated(config, sizes)
    if not config.uses_annotator or annotated == sizes.train:
        return WorkEstimate(operations)
    shared = _annotator_operations(config, sizes, annotated)
    return WorkEstimate(operations, annotator_key(config), shared)


def annotator_key(config: RunConfig) -> str:
    """Return what stands for a run's pseudo-annotator: runs of one key share it."""
    free = {*CLASSIFIER_ONLY, *plain(config.options)}
    fields = {name: value for name, value in config.flat().items() if name not in free}
    return json.dumps(fields, sort_keys=True)


def all_operations(configs: Iterable[RunConfig]) -> dict[Operation, RunConfig]:
    """Return all operations of some runs, each with a run that does it."""
    found: dict[Operation, RunConfig] = {}
    for config in configs:
        work = estimate_work(config)
        for operation in (*work.operations, *work.annotator_operations):
            found.setdefault(operation, config)
    return found


def describe_operation(operation: Operation, others: Collection[Operation]) -> str:
    """Return an operation in words: `training step, ReFF, layers stage4`.

    Only what differs from the others of the same grid is named.
    """
    method = operation.value("method")
    names = [TITLES[operation.kind]]
    if method is not None:
        names.append(known_method(method).title)
    elif operation.value("map_kernel") is not None:
        names.append("ABN's network")
    alike = [
        other
        for other in others
        if other.kind == operation.kind and other.value("method") == method
    ]
    varied = [
        f"{name.removeprefix('annotator_')} {_short(value)}"
        for name, value in json.loads(operation.settings).items()
        if value is not None and any(other.value(name) != value for other in alike)
    ]
    return ", ".join([*names, *varied])


def _annotator_operations(
    config: RunConfig, sizes: Sizes, annotated: int
) -> dict[Operation, float]:
    batch = config.annotator_batch_size or (
        1 if annotated <= FEW_ANNOTATIONS else BATCH
    )
    settings = {
        "image_size": config.image_size,
        "threads": config.threads,
        "annotator_base_channels": config.annotator_base_channels,
        "annotator_downs": config.annotator_downs,
        "annotator_norm": config.annotator_norm
        or ("instance" if batch == 1 else "batch"),
    }
    masks = sizes.train - annotated + min(VALIDATED, sizes.val)
    step = Operation.of("annotate", settings | {"annotator_batch_size": batch})
    return {
        step: float(config.annotator_steps),
        Operation.of("mask", settings): float(masks),
    }


def _operation(kind: str, config: RunConfig, names: Iterable[str]) -> Operation:
    return Operation.of(kind, {name: config.value(name) for name in names})


def _short(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def count_images(config: RunConfig) -> Sizes:
    """Return the sizes of a run's data: of its files if they are there, else official.

    Raises:
        GridError: the files can't be read, and there are no official numbers.
    """
    spec = find_dataset(config.dataset)
    if spec.rendered:
        train, val, test = (
            size or 0 for size in (config.train, config.val, config.test)
        )
        return Sizes(train, val, val if config.root is None else 0, test, DIGITS)
    if config.root is None and spec.sizes is not None:
        train, val, test = spec.sizes
        masked = spec.coding == "trimap"  # ISIC's test images have no masks
        return Sizes(train, val, 0, test, spec.tasks[str(config.task)], masked)
    return _count_tree(config.dataset, Path(str(config.root)), config.task)


@lru_cache
def _count_tree(dataset: str, root: Path, task: str | None) -> Sizes:
    try:
        tree = read_tree(dataset, root)
    except DataError as error:
        raise GridError(str(error)) from None
    counts = {name: len(part.images) for name, part in tree.parts.items()}
    if "trainval" in counts:
        both = counts["trainval"]
        counts["train"] = round(TRAIN_SHARE * both)
        counts["val"] = both - counts["train"]
    classes = tree.classes[task or next(iter(tree.classes))]
    masked = any(tree.parts["test"].masks)
    train, val, test = (counts[name] for name in ("train", "val", "test"))
    return Sizes(train, val, 0, test, len(classes), masked)


def count_annotated(config: RunConfig, sizes: Sizes) -> int:
    """Return how many training images have a true mask, all classes being large."""
    if config.annotations == "all":
        return sizes.train
    asked = {
        "per_class": config.annotations * sizes.classes,
        "total": config.annotations,
        "percent": -(-config.annotations * sizes.train // 100),
    }
    return min(sizes.train, asked[config.annotation_unit])
