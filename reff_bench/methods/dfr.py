"""DFR (Kirichenko et al. 2023): the last layer again, on balanced validation groups."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from reff_bench.catalog.options import DfrOptions
from reff_bench.grid.config import RunConfig, derive_seed
from reff_bench.methods.baseline import baseline_terms, build_plain
from reff_bench.methods.method import Found, Method, MethodError, Training, read_options

AT_ONCE = 256
ITERATIONS = 1000
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


def dfr() -> Method:
    """Return the method.

    Kirichenko, Izmailov and Wilson 2023 (arXiv:2204.02937): Baseline; then its last
    layer alone is fitted again, by logistic regression with an L1 penalty on
    standardized features of held-out images, as many of each group as the smallest has.

    Here: the validation split is halved group by group. One half is fitted on: for each
    strength once, then `refits` times, on other images of the large groups, with that
    strength whose fit has the best worst group on the other half; the refits'
    coefficients are averaged. The authors fit on all of it in the end [other]: so do
    not compare to the digit. Several classes are told apart one against the rest, as
    their solver (liblinear) does it. `val_accuracy` counts the fitted half as well.
    """
    return Method(
        build_with_head,
        baseline_terms,
        options=DfrOptions,
        supervision="validation groups",
        after_training=_refit,
    )


@dataclass(frozen=True, slots=True)
class Head:
    """A linear layer: logits = weight @ features + bias.

    Attributes:
        weight: (K, F) float64.
        bias: (K,) float64.
    """

    weight: Floats
    bias: Floats

    def predict(self, features: Floats) -> Ints:
        """Return the classes, (n,) int64, of (n, F) features."""
        classes: Ints = (features @ self.weight.T + self.bias).argmax(1)
        return classes


@dataclass(frozen=True, slots=True)
class Images:
    """Images as features.

    Attributes:
        features: (n, F) float64.
        labels: (n,) int64.
        groups: (n,) int64.
    """

    features: Floats
    labels: Ints
    groups: Ints

    def take(self, rows: Ints) -> "Images":
        """Return some of them."""
        return Images(self.features[rows], self.labels[rows], self.groups[rows])


def build_with_head(config: RunConfig, num_classes: int, seed: int) -> nn.Module:
    """Build the run's backbone, whose last layer must be a linear one.

    Raises:
        MethodError: it has none.
    """
    model = build_plain(config, num_classes, seed)
    find_head(model, num_classes, config.backbone)
    return model


def find_head(model: nn.Module, num_classes: int, backbone: str) -> nn.Linear:
    """Return the last linear layer that gives a logit for each class.

    Raises:
        MethodError: there is none.
    """
    heads = [
        one
        for one in model.modules()
        if isinstance(one, nn.Linear) and one.out_features == num_classes
    ]
    if not heads:
        raise MethodError(
            f"dfr fits the last layer again, and {backbone} ends on no "
            f"torch.nn.Linear of {num_classes} outputs; take another backbone"
        )
    return heads[-1]


def halves(groups: Ints, random: np.random.Generator) -> tuple[Ints, Ints]:
    """Return the rows to fit on and those to choose by: each of (n,) groups is halved.

    A group of an odd number has one more in the first half.
    """
    first: list[Ints] = []
    second: list[Ints] = []
    for group in np.unique(groups):
        rows = random.permutation(np.flatnonzero(groups == group))
        cut = -(-len(rows) // 2)
        first.append(rows[:cut])
        second.append(rows[cut:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def balanced_rows(groups: Ints, random: np.random.Generator) -> Ints:
    """Return as many rows of each group as the smallest has, chosen at random."""
    kinds, sizes = np.unique(groups, return_counts=True)
    return np.concatenate(
        [
            random.choice(np.flatnonzero(groups == kind), sizes.min(), replace=False)
            for kind in kinds
        ]
    )


def fit_head(
    images: Images,
    num_classes: int,
    strength: float,
    refits: int,
    random: np.random.Generator,
) -> Head:
    """Return the mean of several fits on standardized features, in the features' units.

    Args:
        images: to fit on; every class is among them.
        num_classes: K.
        strength: C of scikit-learn's LogisticRegression.
        refits: how many fits, each on balanced groups of its own.
        random: chooses these.
    """
    mean, std = images.features.mean(0), images.features.std(0)
    scale = np.where(std > 0, std, 1.0)
    weight = np.zeros((num_classes, images.features.shape[1]))
    bias = np.zeros(num_classes)
    for _ in range(refits):
        part = images.take(balanced_rows(images.groups, random))
        scaled = (part.features - mean) / scale
        for number in range(num_classes):
            fit = LogisticRegression(
                l1_ratio=1.0,
                C=strength,
                solver="liblinear",
                max_iter=ITERATIONS,
                random_state=0,
            ).fit(scaled, part.labels == number)
            weight[number] += fit.coef_[0] / refits
            bias[number] += fit.intercept_[0] / refits
    weight = weight / scale
    return Head(weight, bias - weight @ mean)


def score(head: Head, images: Images) -> tuple[float, float]:
    """Return the accuracy of the worst group, and the mean over groups."""
    right = head.predict(images.features) == images.labels
    each = [right[images.groups == group].mean() for group in np.unique(images.groups)]
    return float(min(each)), float(np.mean(each))


def _refit(training: Training) -> Found:
    options = read_options(training.config, DfrOptions)
    K = training.images.num_classes
    random = np.random.default_rng(derive_seed(training.config.seed, "method"))
    layer = find_head(training.model, K, training.config.backbone)
    images = _features(training, layer)
    first, second = (images.take(rows) for rows in halves(images.groups, random))
    scores = [
        score(fit_head(first, K, strength, 1, random), second)
        for strength in options.regularization
    ]
    strength = options.regularization[scores.index(max(scores))]
    head = fit_head(first, K, strength, options.refits, random)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight))
        assert layer.bias is not None, "our backbones' heads have a bias"
        layer.bias.copy_(torch.from_numpy(head.bias))
    _, sizes = np.unique(first.groups, return_counts=True)
    return {
        "dfr_regularization": strength,
        "dfr_images": len(sizes) * int(sizes.min()),
        "notes": [
            "DFR: half of the validation images were fitted on, by a fit "
            f"{sizes.min()} of each of their {len(sizes)} groups"
        ],
    }


@torch.no_grad()
def _features(training: Training, layer: nn.Module) -> Images:
    """Return what the last layer is given for each validation image."""
    found: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(inputs[0].double().cpu())

    split = training.splits["val"]
    training.model.eval()
    handle = layer.register_forward_pre_hook(keep)
    try:
        for batch in split.in_order(AT_ONCE, training.device):
            training.model(batch.image)
    finally:
        handle.remove()
    features = torch.cat(found).numpy()
    return Images(features, split.labels.numpy(), split.groups.numpy())
