"""Steps 1 to 3 of Algorithm 1: masks for the images without one."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from reff_bench.annotator.annotator import Annotator, iou_dice
from reff_bench.annotator.options import AnnotatorError, AnnotatorOptions
from reff_bench.annotator.training import AnnotatorDivergedError, train_annotator
from reff_bench.catalog.methods import known_method
from reff_bench.data.split import Data, Split
from reff_bench.data.subset import annotated_subset
from reff_bench.grid.config import RunConfig, derive_seed
from reff_bench.results.json_file import ResultsError, read_json
from reff_bench.results.run import RunError
from reff_bench.train.reports import Reporter
from texturedmnist.common.digest import (
    DigestError,
    file_digest,
    json_digest,
    with_digest,
    without_digest,
)
from texturedmnist.common.files import (
    TEMPORARY,
    atomic,
    check_digest,
    clear_temporaries,
    write_atomically,
)

HELD_OUT = 1000  # validation images, at most, on which the masks are judged
AT_ONCE = 256
CACHE_VERSION = 1  # raised when the same key would give other masks
ANNOTATORS = "annotators"
MASKS_NAME, ANNOTATOR_NAME, REPORT_NAME = "masks.npy", "annotator.pt", "report.json"
QUALITY = ("annotator_iou", "annotator_dice")
MASKS_DIGEST = "masks_sha256"
LEFTOVERS = (TEMPORARY, "annotator.pt.tmp")  # the second is of earlier releases


@dataclass(frozen=True, slots=True)
class Annotated:
    """The training images with all their masks; facts of these for the record."""

    split: Split
    facts: dict[str, Any]


def annotators_folder(folder: Path) -> Path:
    """Return where those of a run in `OUT/cells/<id>` lie: beside `cells`."""
    return folder.parent.parent / ANNOTATORS


def annotator_path(folder: Path, key: str) -> Path:
    """Return the file of the pseudo-annotator whose key a run's record names."""
    return annotators_folder(folder) / key / ANNOTATOR_NAME


def annotate(
    config: RunConfig,
    data: Data,
    folder: Path,
    device: torch.device,
    reporter: Reporter,
) -> Annotated:
    """Give every training image its mask: the true one, or the pseudo-annotator's.

    Algorithm 1: split off the annotated subset, train the pseudo-annotator on it, and
    give every other training image a soft mask, once. What is found is kept in the
    folder, made if it isn't there, and shared by all runs of the same data, subset,
    seed and options.

    Raises:
        RunError: the annotator can't be trained on these images.
    """
    train = data.splits["train"]
    if not known_method(config.method).uses_masks:
        return Annotated(train, {})
    chosen = annotated_subset(
        train.labels.numpy(),
        config.annotations,
        config.annotation_unit,
        derive_seed(config.seed, "subset"),
        train.annotated.numpy(),
    )
    facts: dict[str, Any] = {"annotated_images": int(chosen.sum())}
    if not config.uses_annotator or chosen.all():
        return Annotated(train.with_masks(chosen, None), facts)
    key = _key(config, data, device)
    place = folder / key
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / ".lock"):  # another run may need the same one now
        report = _read_report(place)
        if report is None or (pseudo := _read_masks(place, report, train)) is None:
            clear_temporaries(place, LEFTOVERS)
            report = _make(config, data, chosen, place, device, reporter)
            pseudo = np.load(place / MASKS_NAME, mmap_mode="r", allow_pickle=False)
    facts |= {"annotator_key": key, **{name: report[name] for name in QUALITY}}
    return Annotated(train.with_masks(chosen, pseudo), facts)


def _read_report(place: Path) -> dict[str, Any] | None:
    """Return what `_make` has left, or None where it is missing, damaged or foreign."""
    path = place / REPORT_NAME
    try:
        report = (
            without_digest(read_json(path), path.name, path) if path.is_file() else None
        )
    except (ResultsError, DigestError):
        return None
    if report is None or report.get("annotator_key", place.name) != place.name:
        return None
    return report if report.keys() >= set(QUALITY) else None


def _read_masks(
    place: Path, report: dict[str, Any], split: Split
) -> NDArray[np.uint8] | None:
    """Return (n, S, S) uint8, or None where they have to be made again.

    Those of earlier releases, without a digest, are held against the split's shape.
    """
    path, annotator = place / MASKS_NAME, place / ANNOTATOR_NAME
    digest = report.get(MASKS_DIGEST)
    if not path.is_file() or digest not in (None, file_digest(path)):
        return None
    try:
        if annotator.is_file():  # without it only the figures lack something
            check_digest(annotator)
        masks: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError):  # a DigestError is a ValueError
        return None
    right = masks.shape == (len(split), split.size, split.size)
    return masks if right and masks.dtype == np.uint8 else None


def _key(config: RunConfig, data: Data, device: torch.device) -> str:
    """Return 16 hex digits for everything that the masks depend on."""
    options = {
        name: value
        for name, value in config.model_dump(mode="json").items()
        if name.startswith("annotator_")
    }
    facts = [
        *(CACHE_VERSION, data.identity, data.size, config.seed, config.threads),
        *(config.task, config.annotations, config.annotation_unit),
        *(device.type, options),
    ]
    return json_digest(facts)[:16]


def _make(
    config: RunConfig,
    data: Data,
    chosen: NDArray[np.bool_],
    place: Path,
    device: torch.device,
    reporter: Reporter,
) -> dict[str, Any]:
    """Train an annotator and write it, its masks and, last, how good they are.

    Returned is what the last file holds: that, the key, and the digest of the masks.
    """
    train = data.splits["train"]
    images, masks = train.source.read(torch.from_numpy(np.flatnonzero(chosen)))
    try:
        annotator = train_annotator(
            images,
            masks.unsqueeze(1),
            _options(config),
            seed=derive_seed(config.seed, "annotator"),
            device=device,
            progress=reporter.annotator,
        )
    except (AnnotatorError, AnnotatorDivergedError) as error:
        raise RunError(f"the pseudo-annotator: {error}") from None
    annotator.save(place / ANNOTATOR_NAME)
    draw = partial(_draw, annotator, config.annotator_threshold)
    _write_masks(train, ~chosen, draw, place / MASKS_NAME)
    iou, dice = _judge(annotator, data.splits["val"])
    report = {
        **dict(zip(QUALITY, (iou, dice), strict=True)),
        "annotator_key": place.name,
        MASKS_DIGEST: file_digest(place / MASKS_NAME),
    }
    text = json.dumps(with_digest(report, REPORT_NAME), indent=1) + "\n"
    write_atomically(place / REPORT_NAME, text)
    return report


def _options(config: RunConfig) -> AnnotatorOptions:
    return AnnotatorOptions(
        base_channels=config.annotator_base_channels,
        downs=config.annotator_downs,
        steps=config.annotator_steps,
        batch_size=config.annotator_batch_size,
        norm=config.annotator_norm,
        learning_rate=config.annotator_lr,
        l1_weight=config.annotator_l1_weight,
    )


def _draw(annotator: Annotator, threshold: float | None, images: Tensor) -> Tensor:
    """Return masks (n, S, S) uint8 in [0, 255]."""
    soft = annotator.predict(images)
    if threshold is not None:
        soft = (soft >= threshold).to(torch.float32)
    return (soft * 255).round().to(torch.uint8)


def _write_masks(
    split: Split,
    wanted: NDArray[np.bool_],
    draw: Callable[[Tensor], Tensor],
    path: Path,
) -> None:
    """Write (n, S, S) uint8, zeros where no mask is wanted."""
    head = {"shape": (len(split), split.size, split.size), "fortran_order": False}
    # Not through a memory map: on a full disk it ends the process.
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", **head})
        start, each = file.tell(), split.size**2
        file.truncate(start + len(split) * each)
        for rows in torch.split(torch.from_numpy(np.flatnonzero(wanted)), AT_ONCE):
            masks = draw(split.source.read(rows)[0]).numpy()
            for row, mask in zip(rows.tolist(), masks, strict=True):
                file.seek(start + row * each)
                file.write(mask.tobytes())


def _judge(annotator: Annotator, split: Split) -> tuple[float | None, float | None]:
    """Return mean IoU and Dice on images that no annotation was seen of."""
    rows = torch.nonzero(split.annotated).flatten()[:HELD_OUT]
    if len(rows) == 0:
        return None, None
    found = [
        iou_dice(annotator.predict(images), masks)
        for images, masks in map(split.source.read, torch.split(rows, AT_ONCE))
    ]
    iou, dice = (torch.cat(values).mean() for values in zip(*found, strict=True))
    return float(iou), float(dice)
