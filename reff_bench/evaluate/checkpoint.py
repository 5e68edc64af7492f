"""From a checkpoint to its metrics: `evaluate_run`, `evaluate_checkpoint`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from reff_bench.annotator.annotator import Annotator
from reff_bench.annotator.options import AnnotatorError
from reff_bench.data.backgrounds import Backgrounds, open_backgrounds
from reff_bench.data.opening import open_data
from reff_bench.data.split import Data
from reff_bench.evaluate.model import evaluate_model
from reff_bench.evaluate.panels import make_panels
from reff_bench.grid.config import RunConfig, config_id, derive_seed
from reff_bench.identity.tree import DataError
from reff_bench.methods.registry import find_method
from reff_bench.models.output import ModelError
from reff_bench.models.weights import fill_model, read_weights
from reff_bench.results.json_file import Fields
from reff_bench.results.panels import write_panels
from reff_bench.results.run import (
    CHECKPOINT_NAME,
    EVALUATION_NAME,
    RunError,
    RunProgress,
    read_record,
    write_record,
)
from reff_bench.train.annotate import annotator_path
from reff_bench.train.checkpoint import check_fits, load_checkpoint
from reff_bench.train.machine import find_context, limited
from reff_bench.train.reports import ProgressCallback
from texturedmnist.common.cache import Cache
from texturedmnist.common.files import clear_temporaries


@dataclass(frozen=True, slots=True)
class _Subject:
    """A model and what it is evaluated on; `missing` says why no `backgrounds` are."""

    model: nn.Module
    data: Data
    backgrounds: Backgrounds | None
    missing: str | None
    device: torch.device

    def measure(self, own: Sequence[str]) -> Fields:
        metrics = evaluate_model(
            self.model, self.data, self.device, self.backgrounds, own
        )
        return {**metrics, "backgrounds_missing": self.missing}


def evaluate_run(
    config: RunConfig,
    folder: Path,
    *,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    device: str = "auto",
    report: ProgressCallback | None = None,
    metrics: Sequence[str] = (),
    cache: Cache | None = None,
) -> Fields:
    """Evaluate a finished run; write `panels.npz` and `evaluation.json` there.

    The folder is `OUT/cells/<id>`; `metrics` are names of the user's own, `report` is
    called with the progress, the rest as of `reff_bench.data.opening.open_data`.

    Returns:
        The metrics, see `evaluate_model`; `backgrounds_missing` says why the background
        gap and the flip rate are None, and is None where they aren't.

    Raises:
        RunError: there are no weights, or the training isn't finished.
    """
    if report is not None:
        report(RunProgress("evaluation", 0.97))
    path = folder / CHECKPOINT_NAME
    weights = _finished_weights(config, path)
    where = find_context(device).device
    paths = (data_root, cache_dir)
    with _opened(config, weights, path, paths, where, cache or Cache()) as subject:
        measured = subject.measure(metrics)
        annotator = _find_annotator(folder, where)
        panels = make_panels(subject.model, subject.data, annotator, where)
    clear_temporaries(folder)
    write_panels(folder, panels)
    write_record(folder, {"cell_id": config_id(config), **measured}, EVALUATION_NAME)
    return measured


def evaluate_checkpoint(
    path: Path,
    config: RunConfig,
    *,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    device: str = "auto",
) -> Fields:
    """Evaluate weights from a file of ours or the user's own, see `read_weights`.

    The run's method and backbone say what the weights belong to, its data on what to
    evaluate; the rest is as of `evaluate_run`, whose metrics are returned. Nothing is
    written.

    Raises:
        RunError: the file can't be read, or doesn't fit the model.
    """
    try:
        weights = read_weights(path)
    except ModelError as error:
        raise RunError(str(error)) from None
    where, paths = find_context(device).device, (data_root, cache_dir)
    with _opened(config, weights, path, paths, where, Cache()) as subject:
        return subject.measure(())


def _finished_weights(config: RunConfig, path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise RunError(f"no {path.name} in {path.parent}; train the run first")
    checkpoint = load_checkpoint(path)
    check_fits(checkpoint, path, config_id(config), checkpoint.device_type)
    if checkpoint.optimizer is not None:
        raise RunError(
            f"{path} is of a run that isn't finished (epoch {checkpoint.position.epoch}"
            f" of {config.all_epochs}); run the grid again to finish it"
        )
    return checkpoint.model


@contextmanager
def _opened(
    config: RunConfig,
    weights: dict[str, Tensor],
    path: Path,
    paths: tuple[Path | None, Path | None],
    device: torch.device,
    cache: Cache,
) -> Iterator[_Subject]:
    """Build the model and open its data; the run's threads are used within."""
    data = open_data(config, *paths, device, cache)
    seed = derive_seed(config.seed, "init")
    # The weights are about to be replaced: nothing needs to be downloaded.
    bare = config.model_copy(update={"weights": None})
    missing = backgrounds = None
    try:
        backgrounds = open_backgrounds(config, *paths, cache)
    except DataError as error:
        missing = str(error)
    method = find_method(config.method)
    data = data.prepared(method.prepare)
    with limited(config.threads, seed, device):
        model = method.build(bare, data.num_classes, seed)
        try:
            fill_model(model, weights, path)
        except ModelError as error:
            raise RunError(str(error)) from None
        model = model.to(device).eval()
        yield _Subject(model, data, backgrounds, missing, device)


def _find_annotator(folder: Path, device: torch.device) -> Annotator | None:
    """Return the pseudo-annotator of a run, if it used one and it is still there."""
    key = (read_record(folder) or {}).get("annotator_key")
    path = annotator_path(folder, key) if key else None
    if path is None or not path.is_file():
        return None
    try:
        return Annotator.load(path, device)
    except AnnotatorError as error:
        raise RunError(str(error)) from None
