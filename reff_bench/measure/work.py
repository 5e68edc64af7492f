"""Each kind of work on made-up images, through the code that does it: `PREPARE`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from reff_bench.annotator import Annotator, AnnotatorOptions, Pair
from reff_bench.annotator.annotator import as_images
from reff_bench.cost import Kind
from reff_bench.data import Batch, MemoryPixels, Split
from reff_bench.evaluate import predict
from reff_bench.evaluate.focus import measure_focus
from reff_bench.grid import Cell
from reff_bench.methods import find_method
from reff_bench.train import Machine
from reff_bench.train.step import Stepper

CLASSES = 10
SEED = 0
PROGRESS = 0.9  # past any warm-up of a penalty


@dataclass(frozen=True, slots=True)
class Prepared:
    """Work that is ready to be done.

    Attributes:
        lap: number of items -> a function that does so many at once.
        most: items at once in real work.
        per_unit: items in one of the kind: the images of a step, else 1.
    """

    lap: Callable[[int], Callable[[], None]]
    most: int
    per_unit: int = 1


def prepare_training(kind: Kind, cell: Cell, machine: Machine) -> Prepared:
    """Return the classifier's training steps; the items are images."""
    stepper = Stepper(cell, _model(cell), machine)

    def lap(count: int) -> Callable[[], None]:
        batch = _split(count, cell.image_size).get(torch.arange(count), machine.device)
        return partial(_step, stepper, batch)

    return Prepared(lap, cell.batch_size, cell.batch_size)


def prepare_prediction(kind: Kind, cell: Cell, machine: Machine) -> Prepared:
    """Return the classification of images, placed as in validation: most are there."""
    model = Stepper(cell, _model(cell), machine).model.eval()

    def lap(count: int) -> Callable[[], None]:
        split = _split(count, cell.image_size)
        return lambda: _discard(predict(model, split, machine.device))

    return Prepared(lap, 256)


def prepare_focus(kind: Kind, cell: Cell, machine: Machine) -> Prepared:
    """Return the maps of images and their metrics."""
    model = _model(cell).to(machine.device).eval()

    def lap(count: int) -> Callable[[], None]:
        split, rows = _split(count, cell.image_size), torch.arange(count)
        return lambda: _discard(measure_focus(model, split, rows, machine.device))

    return Prepared(lap, 32)


def prepare_annotating(kind: Kind, cell: Cell, machine: Machine) -> Prepared:
    """Return the pseudo-annotator's training steps; the items are images."""
    options = _options(kind, cell)
    pair = _pair(options, machine)

    def lap(count: int) -> Callable[[], None]:
        image = as_images(_images(count, cell.image_size), machine.device)
        mask = _masks(count, cell.image_size).to(machine.device, torch.float32)
        return lambda: _discard(pair.step(image, mask.unsqueeze(1) * 2 - 1, options))

    size = kind.value("annotator_batch_size")
    return Prepared(lap, size, size)


def prepare_drawing(kind: Kind, cell: Cell, machine: Machine) -> Prepared:
    """Return the drawing of pseudo-masks."""
    options = _options(kind, cell)
    unet = _pair(options, machine).unet.eval()
    annotator = Annotator(unet, options, (cell.image_size, cell.image_size), {})

    def lap(count: int) -> Callable[[], None]:
        images = _images(count, cell.image_size)
        return lambda: _discard(annotator.predict(images))

    return Prepared(lap, 64)


PREPARE: Mapping[str, Callable[[Kind, Cell, Machine], Prepared]] = {
    "train": prepare_training,
    "predict": prepare_prediction,
    "focus": prepare_focus,
    "annotate": prepare_annotating,
    "draw": prepare_drawing,
}


def _model(cell: Cell) -> nn.Module:
    # Which weights it starts from doesn't change the time: nothing is downloaded.
    bare = cell.model_copy(update={"weights": None})
    return find_method(cell.method).build(bare, CLASSES, SEED).train()


def _step(stepper: Stepper, batch: Batch) -> None:
    stepper.model.train()
    stepper.step(batch, PROGRESS, torch.Generator().manual_seed(SEED))


def _options(kind: Kind, cell: Cell) -> AnnotatorOptions:
    options = AnnotatorOptions(
        base_channels=cell.annotator_base_channels,
        downs=cell.annotator_downs,
        batch_size=kind.value("annotator_batch_size"),
        norm=kind.value("annotator_norm"),
    )
    return options.resolve(1, (cell.image_size, cell.image_size))


def _pair(options: AnnotatorOptions, machine: Machine) -> Pair:
    return Pair.build(options, torch.Generator().manual_seed(SEED), machine.device)


def _split(count: int, size: int) -> Split:
    """Return random images, each with a mask over its middle."""
    labels = torch.arange(count) % CLASSES
    source = MemoryPixels(_images(count, size), _masks(count, size))
    return Split(source, labels, labels, torch.ones(count, dtype=torch.bool), size)


def _images(count: int, size: int) -> Tensor:
    draws = torch.Generator().manual_seed(SEED)
    shape = (count, 3, size, size)
    return torch.randint(0, 256, shape, generator=draws, dtype=torch.uint8)


def _masks(count: int, size: int) -> Tensor:
    masks = torch.zeros(count, size, size, dtype=torch.uint8)
    masks[:, size // 4 : -size // 4, size // 4 : -size // 4] = 1
    return masks


def _discard(result: object) -> None:
    """Take what a lap has made: laps are timed, not used."""
