"""Times an operation on random images, through the code that does it in a run."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from reff_bench.annotator.annotator import Annotator, as_images
from reff_bench.annotator.options import AnnotatorOptions
from reff_bench.annotator.training import Pair
from reff_bench.cost.operations import Operation
from reff_bench.data.pixels import MemoryPixels
from reff_bench.data.split import Split
from reff_bench.evaluate.focus import measure_focus
from reff_bench.evaluate.model import predict
from reff_bench.grid.config import RunConfig
from reff_bench.methods.method import TrainingImages
from reff_bench.methods.registry import find_method
from reff_bench.results.run import RunError
from reff_bench.train.machine import ComputeContext, find_context, limited
from reff_bench.train.step import TrainStep

CLASSES, SEED = 10, 0
LATE = 0.9  # progress of the training: past any warm-up of a penalty
BATCHES = {"predict": 256, "explain": 32, "mask": 64}
SMALL_BATCH = 8  # at 2 an image of a ReFF step of ResNet-50 takes 1.4 times as long
FEWEST, MOST = 3, 20  # repeats of which the median is taken

Repeat = Callable[[], object]


def measure(
    operation: Operation, config: RunConfig, device: str, seconds: float = 10.0
) -> float:
    """Return the seconds that one operation, done by a run, takes on a device.

    The median of 3 to 20 repeats after a warm-up, for about as many seconds as given.
    Where repeats of a whole batch don't fit into these (a large network on a CPU), 8
    images are timed and scaled up.

    Raises:
        RunError: the operation can't be done on this device.
    """
    machine = find_context(device, config.precision)
    try:
        with limited(config.threads, SEED, machine.device, search=True):
            prepare = PREPARE[operation.kind](operation, config, machine)
            batch = _batch(operation, config)
            clock = _clock(machine, config.threads)
            # A GPU is fast with whole batches; each size is compiled again.
            whole = machine.is_gpu or config.compile or batch <= SMALL_BATCH
            if not whole:
                repeat = prepare(SMALL_BATCH)
                took = [_time(repeat, clock), _time(repeat, clock)][1]
                whole = took * batch / SMALL_BATCH * (FEWEST + 1) <= seconds
            count = batch if whole else SMALL_BATCH
            each = _median_time(prepare(count), seconds, clock) / count
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"measuring {operation.kind} of {config.method}: {error}"
        ) from None
    steps = operation.kind in ("train", "annotate")
    return each * batch if steps else each


def device_name(device: str) -> str:
    """Return the name of a device, as records have it."""
    return find_context(device).describe()


def _batch(operation: Operation, config: RunConfig) -> int:
    if operation.kind == "train":
        return config.batch_size
    size = operation.value("annotator_batch_size")
    return BATCHES[operation.kind] if size is None else int(size)


def _median_time(repeat: Repeat, seconds: float, clock: Callable[[], float]) -> float:
    _time(repeat, clock)
    times: list[float] = []
    while len(times) < FEWEST or (sum(times) < seconds and len(times) < MOST):
        times.append(_time(repeat, clock))
    return median(times)


def _time(repeat: Repeat, clock: Callable[[], float]) -> float:
    start = clock()
    repeat()
    return clock() - start


def _clock(machine: ComputeContext, threads: int) -> Callable[[], float]:
    if not machine.is_gpu:
        # One thread's own time: what else runs on the machine doesn't count.
        return time.process_time if threads == 1 else time.perf_counter
    return partial(_gpu_clock, machine.device)


def _gpu_clock(device: torch.device) -> float:
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _prepare_train(
    operation: Operation, config: RunConfig, machine: ComputeContext
) -> Callable[[int], Repeat]:
    train_step = TrainStep(config, _model(config), machine, _state(config))

    def prepare(count: int) -> Repeat:
        batch = _split(count, config.image_size).get(
            torch.arange(count), machine.device
        )
        return lambda: train_step.step(batch, LATE, torch.Generator().manual_seed(SEED))

    return prepare


def _prepare_predict(
    operation: Operation, config: RunConfig, machine: ComputeContext
) -> Callable[[int], Repeat]:
    # As in validation, which most images are: the step places the model.
    model = TrainStep(config, _model(config), machine).model.eval()

    def prepare(count: int) -> Repeat:
        return partial(predict, model, _split(count, config.image_size), machine.device)

    return prepare


def _prepare_explain(
    operation: Operation, config: RunConfig, machine: ComputeContext
) -> Callable[[int], Repeat]:
    model = _model(config).to(machine.device).eval()

    def prepare(count: int) -> Repeat:
        split, rows = _split(count, config.image_size), torch.arange(count)
        return partial(measure_focus, model, split, rows, machine.device)

    return prepare


def _prepare_annotate(
    operation: Operation, config: RunConfig, machine: ComputeContext
) -> Callable[[int], Repeat]:
    options = _annotator_options(operation, config)
    pair = _pair(options, machine)

    def prepare(count: int) -> Repeat:
        image = as_images(_images(count, config.image_size), machine.device)
        mask = _masks(count, config.image_size).to(machine.device, torch.float32)
        return partial(pair.step, image, mask.unsqueeze(1) * 2 - 1, options)

    return prepare


def _prepare_mask(
    operation: Operation, config: RunConfig, machine: ComputeContext
) -> Callable[[int], Repeat]:
    options = _annotator_options(operation, config)
    unet = _pair(options, machine).unet.eval()
    annotator = Annotator(unet, options, (config.image_size, config.image_size), {})
    return lambda count: partial(annotator.predict, _images(count, config.image_size))


PREPARE = {
    "train": _prepare_train,
    "predict": _prepare_predict,
    "explain": _prepare_explain,
    "annotate": _prepare_annotate,
    "mask": _prepare_mask,
}


def _model(config: RunConfig) -> nn.Module:
    # Which weights it starts from doesn't change the time: nothing is downloaded.
    bare = config.model_copy(update={"weights": None})
    return find_method(config.method).build(bare, CLASSES, SEED).train()


def _state(config: RunConfig) -> nn.Module:
    labels = torch.arange(config.batch_size) % CLASSES
    images = TrainingImages(labels, labels, CLASSES, CLASSES)
    bare = config.model_copy(update={"weights": None})
    return find_method(config.method).build_state(bare, images, SEED + 1).train()


def _annotator_options(operation: Operation, config: RunConfig) -> AnnotatorOptions:
    options = AnnotatorOptions(
        base_channels=config.annotator_base_channels,
        downs=config.annotator_downs,
        batch_size=operation.value("annotator_batch_size"),
        norm=operation.value("annotator_norm"),
    )
    return options.resolve(1, (config.image_size, config.image_size))


def _pair(options: AnnotatorOptions, machine: ComputeContext) -> Pair:
    return Pair.build(options, torch.Generator().manual_seed(SEED), machine.device)


def _split(count: int, size: int) -> Split:
    """Return random images, each with a mask over its middle."""
    labels = torch.arange(count) % CLASSES
    source = MemoryPixels(_images(count, size), _masks(count, size))
    return Split(source, labels, labels, torch.ones(count, dtype=torch.bool), size)


def _images(count: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(SEED)
    shape = (count, 3, size, size)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def _masks(count: int, size: int) -> Tensor:
    masks = torch.zeros(count, size, size, dtype=torch.uint8)
    masks[:, size // 4 : -size // 4, size // 4 : -size // 4] = 1
    return masks
