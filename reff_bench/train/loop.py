"""Step 4 of Algorithm 1: the classifier's training, from checkpoint to checkpoint."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reff_bench.catalog.methods import known_method
from reff_bench.data.batch import Batch
from reff_bench.data.split import Data, Split
from reff_bench.grid.config import RunConfig, config_id, derive_seed
from reff_bench.methods.groups import check_groups
from reff_bench.methods.method import MethodError, Training, TrainingImages
from reff_bench.methods.registry import find_method
from reff_bench.results.run import RunError
from reff_bench.train.checkpoint import (
    Checkpoint,
    TrainState,
    check_fits,
    load_checkpoint,
)
from reff_bench.train.machine import ComputeContext
from reff_bench.train.meter import Clocks, FetchClock, Meter
from reff_bench.train.reports import Reporter, event_files
from reff_bench.train.schedule import generator, plan_epoch, steps_per_epoch
from reff_bench.train.step import TrainStep

REPORT_SECONDS = 1.0  # at least: a run is stopped where it reports
UNWATCHED = ("zero_maps_", "relevant_")  # numbers that nobody watches in progress
ONE_VALUE = "more than 1 value per channel"  # torch's words


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How a run is carried out; nothing here changes what comes out.

    Attributes:
        checkpoint_seconds: between two checkpoints within an epoch.
        other_device: go on with a run that was started on another kind of device.
        tensorboard: write event files into the folder of the run.
    """

    checkpoint_seconds: float = 120.0
    other_device: bool = False
    tensorboard: bool = False


class Trainer:
    """Trains the classifier of a run.

    Raises:
        RunError: a checkpoint lies there that isn't this run's, or is damaged; or
            the method can't learn from these data.
    """

    def __init__(
        self,
        config: RunConfig,
        data: Data,
        train: Split,
        path: Path,
        machine: ComputeContext,
        options: TrainOptions,
        reporter: Reporter,
    ) -> None:
        """Build the model, or go on from the checkpoint."""
        self._method = find_method(config.method)
        self.config, self.data = config, data.prepared(self._method.prepare)
        self.train = train.prepared(self._method.prepare)
        self.path, self.machine, self.options = path, machine, options
        self.reporter = reporter
        self.images = _describe_images(train, data)
        notes = self._check_groups()
        seed = derive_seed(config.seed, "init") + 1  # another network than the model
        state = self._method.build_state(config, self.images, seed)
        self.train_step = TrainStep(config, self._build(), machine, state)
        self._fetches = FetchClock(machine.device)
        self.position = TrainState(0, 0, 0.0, 0, {}, 0, {}, processor_seconds=0.0)
        self._note({"notes": notes} if notes else {})
        self.finished = False
        self._go_on()
        self._saved = time.monotonic()

    def run(self) -> None:
        """Train to the last epoch; leave a checkpoint with the weights alone.

        Raises:
            RunError: a loss became infinite or not a number.
        """
        wanted = self.options.tensorboard
        with event_files(self.path.parent, wanted=wanted) as add:
            while self.position.epoch < self.config.all_epochs:
                add(self._run_epoch(), self.position.epoch)
                is_last = self.position.epoch == self.config.all_epochs
                if not is_last or self._method.after_training is not None:
                    self.save()
        if self.finished:
            return
        if self._method.after_training is not None:
            self._note(self._method.after_training(self._training()))
            self.position.found["val_accuracy"] = self.val_accuracy()
        self.finished = True
        self.save()

    def _build(self) -> nn.Module:
        seed = derive_seed(self.config.seed, "init")
        return self._method.build(self.config, self.data.num_classes, seed)

    def _training(self) -> Training:
        """Return the training as a stage of the method sees it."""
        return Training(
            self.config,
            self.train_step.model,
            self.train_step.state,
            {**self.data.splits, "train": self.train},
            self.images,
            self.machine.device,
            lambda: self.train_step.restart(self._build()),
        )

    def _note(self, found: Mapping[str, Any]) -> None:
        """Keep what a stage has to say; notes are added to those before."""
        notes = [*self.position.found.get("notes", ()), *found.get("notes", ())]
        self.position.found |= {**found, **({"notes": notes} if notes else {})}

    def _check_groups(self) -> list[str]:
        """Refuse groups that tell nothing; return what is missing among them.

        Raises:
            RunError: there is no counter-example.
        """
        spec = known_method(self.config.method)
        if not spec.uses_groups:
            return []
        split = "train" if spec.supervision == "training groups" else "val"
        images = _describe_images(self.data.splits[split], self.data)
        try:
            missing = check_groups(self.config.method, images, split)
        except MethodError as error:
            raise RunError(str(error)) from None
        words = f"{missing} of {images.num_groups} groups have no image in the split"
        return [f"{spec.title}: {words} {split}"] if missing else []

    def save(self) -> None:
        """Write the checkpoint."""
        optimizer = None
        if not self.finished:
            device = self.machine.device
            gpus = [device] if self.machine.is_gpu else []
            optimizer = {
                **self.train_step.state_dict(),
                "random": torch.get_rng_state(),
                "gpu_random": [torch.cuda.get_rng_state(one) for one in gpus],
            }
        Checkpoint(
            config_id(self.config),
            self.machine.device.type,
            self.position,
            self.train_step.model.state_dict(),
            optimizer,
        ).save(self.path)
        self._saved = time.monotonic()

    def _go_on(self) -> None:
        """Continue from the checkpoint, if there is one."""
        if not self.path.is_file():
            return
        checkpoint = load_checkpoint(self.path)
        kind = self.machine.device.type
        other = kind if not self.options.other_device else checkpoint.device_type
        check_fits(checkpoint, self.path, config_id(self.config), other)
        self.train_step.model.load_state_dict(checkpoint.model)
        self.position = checkpoint.position
        self.finished = checkpoint.optimizer is None
        if checkpoint.optimizer is not None:
            self.train_step.load_state_dict(checkpoint.optimizer)
            torch.set_rng_state(checkpoint.optimizer["random"])
            if self.machine.is_gpu and checkpoint.device_type == kind:
                state = checkpoint.optimizer["gpu_random"][0]
                torch.cuda.set_rng_state(state, self.machine.device)

    def _run_epoch(self) -> dict[str, float]:
        """Train through the rest of the current epoch; return its means."""
        at = self.position
        if at.step == 0 and self._method.before_epoch is not None:
            self._note(self._method.before_epoch(self._training(), at.epoch))
        weights = None
        if self._method.sampling is not None:
            state = self.train_step.state
            weights = self._method.sampling(self.config, self.images, state)
        plan = plan_epoch(self.config, len(self.train), at.epoch, weights)
        meter = Meter(dict(at.sums), at.sum_images)
        batches = self.train.batches(
            plan.batches[at.step :],
            device=self.machine.device,
            workers=self.config.loader_workers,
            flipped=plan.flipped,
        )
        self._steps(batches, meter)
        means = {**meter.means(), "val_accuracy": self.val_accuracy()}
        for name, value in means.items():
            at.history.setdefault(name, []).append(value)
        at.epoch, at.step, at.sums, at.sum_images = at.epoch + 1, 0, {}, 0
        return means

    def _steps(self, batches: Iterable[Batch], meter: Meter) -> None:
        at = self.position
        self.train_step.train()
        start = Clocks.now()
        for batch in self._fetches.watch(batches):
            self._step(batch, meter)
            at.step += 1
            at.images += len(batch)
            save = time.monotonic() - self._saved >= self.options.checkpoint_seconds
            if meter.is_due or save or start.elapsed().wall >= REPORT_SECONDS:
                self._sync(meter, start)
                try:
                    self._report(meter)
                except BaseException:  # the run is being stopped: nothing is lost
                    self._save_at(meter)
                    raise
                if save:
                    self._save_at(meter)
                start = Clocks.now()
        self._sync(meter, start)

    def _save_at(self, meter: Meter) -> None:
        """Write the checkpoint within an epoch."""
        self.position.sums = dict(meter.sums)
        self.position.sum_images = meter.images
        self.save()

    def _sync(self, meter: Meter, start: Clocks) -> None:
        """Read the losses, which waits for the device, and then the clocks."""
        meter.sync(self.position.epoch + 1)
        self.position.add_time(start.elapsed())
        self.position.fetch_seconds += self._fetches.take()

    def _step(self, batch: Batch, meter: Meter) -> None:
        at, config = self.position, self.config
        random = generator(config, "augment", at.epoch, at.step)
        try:
            terms = self.train_step.step(batch, self._share_done(), random)
        except ValueError as error:
            if ONE_VALUE not in str(error):
                raise
            raise RunError(
                f"a batch of {len(batch)} image (batch_size {config.batch_size}, "
                f"{len(self.train)} training images) leaves BatchNorm nothing to "
                "average over; give a batch_size of 2 or more, and 2 or more images"
            ) from None
        losses = {"loss": terms.total(), **terms.losses}
        meter.add(at.step + 1, len(batch), losses, terms.log)

    def _share_done(self) -> float:
        """Return the share of all steps that are done."""
        at, each = self.position, steps_per_epoch(self.config, len(self.train))
        return (at.epoch * each + at.step) / (self.config.all_epochs * each)

    def _report(self, meter: Meter) -> None:
        at = self.position
        speed = at.images / at.seconds if at.seconds else None
        means = meter.means().items()
        losses = {name: one for name, one in means if not name.startswith(UNWATCHED)}
        self.reporter.training(self._share_done(), at.epoch + 1, losses, speed)

    @torch.no_grad()
    def val_accuracy(self) -> float:
        """Return the share of the validation images that the model gets right."""
        split = self.data.splits["val"]
        self.train_step.model.eval()
        right = torch.zeros((), dtype=torch.int64, device=self.machine.device)
        finite = torch.ones((), dtype=torch.bool, device=self.machine.device)
        for batch in split.in_order(
            max(64, self.config.batch_size),
            self.machine.device,
            self.config.loader_workers,
        ):
            logits = self.train_step.model(batch.image).logits
            finite &= logits.isfinite().all()
            right += (logits.argmax(1) == batch.label).sum()
        if not finite:
            raise RunError(
                f"the outputs on the validation images aren't finite after epoch "
                f"{self.position.epoch + 1}; try a smaller lr or weight"
            )
        return int(right) / len(split)


def _describe_images(split: Split, data: Data) -> TrainingImages:
    return TrainingImages(
        split.labels, split.groups, data.num_classes, len(data.group_names)
    )
