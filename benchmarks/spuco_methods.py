"""Our GroupDRO and DFR against SpuCo's own: same data, network and first weights.

python -m benchmarks.spuco_methods --data-root ../shared/data
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import click
import numpy as np
import spuco.last_layer_retrain.dfr as spuco_dfr
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import ttest_rel
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from spuco.datasets import GroupLabeledDatasetWrapper
from spuco.evaluate import Evaluator
from spuco.robust_train import GroupDRO
from spuco.utils import set_seed
from torch import Tensor, nn
from torch.utils.data import Subset
from torchvision.transforms.functional import pil_to_tensor

from benchmarks.common import Table
from benchmarks.options import PATH, Bench, benchmark
from reff_bench.catalog.options import DfrOptions
from reff_bench.data.transforms import normalize
from reff_bench.grid.config import RunConfig, derive_seed
from reff_bench.methods.baseline import build_plain
from reff_bench.methods.dfr import find_head, halves
from reff_bench.models.weights import fill_model, read_weights
from reff_bench.results.folder import open_runs
from reff_bench.results.run import CHECKPOINT_NAME
from texturedmnist.interop import SpuCoTexturedMNIST, spuco_dataset

GRID = "grid.yaml"
METHODS = ("baseline", "group_dro", "dfr")
METRICS = ("test_accuracy", "test_worst_group_accuracy")
HEAD = ["method", "seed", "ours", "SpuCo's", "worst group: ours", "SpuCo's"]
Scores = tuple[float, float]  # accuracy and that of the worst group, fractions


class OneAgainstRest(OneVsRestClassifier):  # type: ignore[misc]
    """What SpuCo's DFR calls LogisticRegression, for several classes.

    SpuCo 2.0.3 asks for liblinear, which scikit-learn fits one class against the rest
    up to 1.7 and refuses for several classes since.
    """

    def __init__(
        self,
        penalty: str = "l1",
        C: float = 1.0,  # noqa: N803
        solver: str = "liblinear",
        class_weight: Any = None,  # noqa: ANN401 (scikit-learn's)
    ) -> None:
        """Take what SpuCo gives."""
        self.penalty, self.C, self.solver = penalty, C, solver
        self.class_weight = class_weight
        super().__init__(LogisticRegression(l1_ratio=1.0, C=C, solver=solver))

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:  # noqa: N803
        """Fit, and show the coefficients where LogisticRegression has them."""
        super().fit(X, y)
        self.coef_ = np.concatenate([one.coef_ for one in self.estimators_])
        self.intercept_ = np.concatenate([one.intercept_ for one in self.estimators_])
        return self

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:  # noqa: N803
        """Return the classes by `coef_` and `intercept_`, which SpuCo replaces."""
        classes: NDArray[Any] = (X @ self.coef_.T + self.intercept_).argmax(1)
        return classes


class SplitNetwork(nn.Module):
    """A network of ours as SpuCo takes it: `classifier` on top of `backbone`."""

    def __init__(self, network: nn.Module, config: RunConfig) -> None:
        """Take the last layer off."""
        super().__init__()
        self.classifier = find_head(network, 10, config.backbone)
        path = next(n for n, one in network.named_modules() if one is self.classifier)
        parent, _, name = path.rpartition(".")
        setattr(network.get_submodule(parent), name, nn.Identity())
        self.network = network

    def backbone(self, x: Tensor) -> Tensor:
        """Return the features, (N, F) float, of normalized images."""
        features: Tensor = self.network(x).logits
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (N, 10) float."""
        logits: Tensor = self.classifier(self.backbone(x))
        return logits


@dataclass(frozen=True, slots=True)
class Splits:
    """The splits of a generated folder, as SpuCo reads them."""

    train: SpuCoTexturedMNIST
    val: SpuCoTexturedMNIST
    test: SpuCoTexturedMNIST

    @classmethod
    def open(cls, folder: Path) -> "Splits":
        """Open the folder."""

        def transform(image: Image.Image) -> Tensor:
            return normalize(pil_to_tensor(image)[None])[0]

        names = ("train", "val", "test")
        return cls(*(spuco_dataset(folder, n, transform=transform) for n in names))

    def score(self, model: nn.Module) -> Scores:
        """Evaluate a model on the test split by SpuCo's evaluator."""
        test = self.test
        evaluator = Evaluator(
            test, test.group_partition, test.group_weights, 100, model.eval()
        )
        evaluator.evaluate()
        right = sum(
            evaluator.accuracies[key] * len(rows)
            for key, rows in test.group_partition.items()
        )
        return right / len(test) / 100, evaluator.worst_group_accuracy[1] / 100


def first_network(config: RunConfig) -> nn.Module:
    """Build the network with the weights that our run starts from."""
    return build_plain(config, 10, derive_seed(config.seed, "init"))


def trained_network(config: RunConfig, weights: Path) -> SplitNetwork:
    """Build the network with the weights that one of our runs has ended in."""
    network = first_network(config)
    fill_model(network, read_weights(weights), weights)
    return SplitNetwork(network, config)


def train_group_dro(config: RunConfig, splits: Splits) -> Scores:
    """Train by SpuCo's GroupDRO, as our run is trained."""
    set_seed(config.seed)
    model = SplitNetwork(first_network(config), config)
    groups = splits.train.group_partition
    optimizer = torch.optim.Adam(
        model.parameters(), config.lr, weight_decay=config.weight_decay
    )
    GroupDRO(
        model,
        GroupLabeledDatasetWrapper(splits.train, groups),
        config.batch_size,
        optimizer,
        config.epochs,
    ).train()
    return splits.score(model)


def fit_dfr(config: RunConfig, weights: Path, splits: Splits) -> Scores:
    """Fit the last layer of our Baseline again by SpuCo's DFR."""
    set_seed(config.seed)
    model = trained_network(config, weights)
    val, options = splits.val, DfrOptions()
    groups = np.empty(len(val), np.int64)
    for number, rows in enumerate(val.group_partition.values()):
        groups[rows] = number
    halved = halves(groups, np.random.default_rng(config.seed))
    fitted, held_out = (
        GroupLabeledDatasetWrapper(val, val.group_partition, rows.tolist())
        for rows in halved
    )
    spuco_dfr.LogisticRegression = OneAgainstRest
    dfr = spuco_dfr.DFR(
        fitted,
        model,
        n_lin_models=options.refits,
        C_range=[*options.regularization],
        validation_set=held_out,
        data_for_scaler=Subset(val, halved[0].tolist()),
    )
    dfr.train()
    _, weight, bias, scaler = dfr.linear_model
    weight = weight / scaler.scale_
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(weight))
        model.classifier.bias.copy_(torch.from_numpy(bias - weight @ scaler.mean_))
    return splits.score(model)


def make_grid(real: bool, seeds: int, epochs: int, image_size: int) -> dict[str, Any]:
    """Return the grid of our runs, on the same images as `generate_command`'s."""
    sources = {
        "digits": "mnist" if real else "embedded",
        "digit_textures": "dtd" if real else "embedded",
        "background_textures": "embedded",
        "embedded_instances": 120,
    }
    sizes = {"train": 1000, "val": 400, "test": 1000, "image_size": image_size}
    return {
        "name": "spuco",
        "data": {**sources, **sizes, "bg": 0.2, "tex": 0.0, "test_bg": 1.0},
        "axes": {"method": [*METHODS], "seed": [*range(seeds)]},
        "training": {
            **{"backbone": "efficientnet_lite0", "weights": "imagenet"},
            **{"epochs": epochs, "batch_size": 32, "threads": 1},
        },
    }


def run_commands(grid: dict[str, Any], folder: Path, data_root: Path | None) -> None:
    """Generate the data for SpuCo and train our runs, as a user would."""
    root = [] if data_root is None else ["--data-root", str(data_root)]
    pairs = ((key.replace("_", "-"), value) for key, value in grid["data"].items())
    flags = [word for key, value in pairs for word in (f"--{key}", str(value))]
    commands = {
        "texturedmnist": ["generate", *flags, "--out", str(folder / "data"), *root],
        "reff-bench": ["run", str(folder / GRID), "--out", str(folder / "runs"), *root],
    }
    for name, words in commands.items():
        script = Path(sys.executable).with_name(name)
        subprocess.run([script, *words], check=True)


def compare(folder: Path) -> Iterator[list[Any]]:
    """Yield method, seed and both pairs of scores for every run of ours."""
    splits = Splits.open(folder / "data")
    runs = open_runs(folder / "runs").runs()
    weights = {
        run.settings.seed: folder / "runs" / "cells" / run.id / CHECKPOINT_NAME
        for run in runs
        if run.settings.method == "baseline"
    }
    for run in runs:
        config = run.settings
        ours = tuple(run.metrics[name] for name in METRICS)
        if config.method == "group_dro":
            theirs = train_group_dro(config, splits)
        elif config.method == "dfr":
            theirs = fit_dfr(config, weights[config.seed], splits)
        else:  # nothing of SpuCo's but its evaluator
            theirs = splits.score(trained_network(config, weights[config.seed]))
        click.echo(f"{config.method}, seed {config.seed}: {ours} {theirs}")
        yield [config.method, config.seed, ours, theirs]


def describe(method: str, rows: Sequence[list[Any]]) -> Iterator[str]:
    """Say how far apart the two are, in points, beside the spread over the seeds."""
    for place, name in enumerate(("accuracy", "worst group")):
        ours = [100 * row[2][place] for row in rows if row[0] == method]
        theirs = [100 * row[3][place] for row in rows if row[0] == method]
        p = ttest_rel(ours, theirs).pvalue
        yield (
            f"{method}, {name}: ours {statistics.mean(ours):.1f} "
            f"(standard deviation {statistics.stdev(ours):.1f}), SpuCo's "
            f"{statistics.mean(theirs):.1f} ({statistics.stdev(theirs):.1f}); paired "
            f"t-test p {p:.2f}"
        )


@benchmark("spuco", "GroupDRO and DFR, ours and SpuCo's")
@click.option("--data-root", type=PATH, help="MNIST and DTD.")
@click.option("--seeds", default=3, type=click.IntRange(min=2))
@click.option("--epochs", default=8)
@click.option("--image-size", default=96)
@click.option("--folder", "kept", type=PATH, help="[a temporary one]")
def main(
    bench: Bench, seeds: int, epochs: int, image_size: int, kept: Path | None
) -> None:
    """Train both packages' GroupDRO and DFR on the same images."""
    torch.set_num_threads(1)
    root = bench.case.data_root
    grid = make_grid(root is not None, seeds, epochs, image_size)
    bench.report.settings["grid"] = yaml.safe_dump(grid)
    with tempfile.TemporaryDirectory() as temporary:
        place = kept or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        (place / GRID).write_text(yaml.safe_dump(grid))
        run_commands(grid, place, root)
        rows = [*compare(place)]
    pairs = (
        (m, str(s), f"{a:.1%}", f"{c:.1%}", f"{b:.1%}", f"{d:.1%}")
        for m, s, (a, b), (c, d) in rows
    )
    bench.report.tables.append(Table(HEAD, [[*row] for row in pairs]))
    bench.report.passes += rows
    for method in METHODS:
        bench.report.notes += describe(method, rows)


if __name__ == "__main__":
    main()
