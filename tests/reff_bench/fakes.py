"""Runs, records and work without torch, data or rendering."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reff_bench.catalog.methods import known_method
from reff_bench.cli import main
from reff_bench.grid.config import RECORD_VERSION, RunConfig, config_id
from reff_bench.grid.model import Select, TableSpec
from reff_bench.results.folder import RunFolder, RunRecord
from reff_bench.results.plan import Plan
from reff_bench.results.run import (
    EVALUATION_NAME,
    RunError,
    RunFiles,
    RunProgress,
    make_record,
    write_record,
)
from texturedmnist.common.executors import ThisProcess

GRID = """\
name: small
data:
  kind: isic2017
  root: {root}
axes:
  method: [baseline, reff]
  annotations: [5, all]
  seed: [0, 1]
training:
  backbone: resnet_small
  epochs: 2
tables:
  - {{name: main, rows: annotations, columns: method, value: test_accuracy}}
"""


def make_config(method: str = "reff", **fields: Any) -> RunConfig:
    """A Textured MNIST run with its method's defaults."""
    randomness = {
        "bg": 0.0,
        "tex": 0.0,
        "test_bg": 1.0,
        "test_tex": 0.0,
        "image_size": 32,
    }
    data = {"dataset": "textured_mnist", "data_identity": "0" * 64, "digit_size": 32}
    counts = {"train": 100, "val": 10, "test": 10, "backbone": "resnet_small"}
    options = known_method(method).defaults
    return RunConfig(
        method=method, **{**data, **randomness, **counts, **options, **fields}
    )


def make_plan(
    configs: list[RunConfig], *, tables: tuple[TableSpec, ...] = (), **select: Any
) -> Plan:
    return Plan(
        record_version=RECORD_VERSION,
        name="made-up",
        select=Select(**select),
        tables=tables,
        configs=tuple(configs),
    )


def make_row(config: RunConfig, status: str = "done", **values: Any) -> RunRecord:
    record = make_record(config, status, **values)
    return RunRecord.of(config_id(config), config, RunFiles(status, record, {}))


def changed(row: RunRecord, **values: Any) -> RunRecord:
    """The same run with another status, settings or metrics; None takes one away."""
    own = {name: values.pop(name) for name in ("status", "reason") if name in values}
    new = {
        name: values.pop(name) for name in [*values] if name in RunConfig.model_fields
    }
    metrics = {**row.metrics, **values}
    return replace(
        row,
        **own,
        settings=row.settings.model_copy(update=new),
        metrics={name: one for name, one in metrics.items() if one is not None},
    )


def make_runs(rows: Sequence[RunRecord], plan: Plan | None = None) -> RunFolder:
    return RunFolder(Path(), plan or make_plan([]), tuple(rows))


def isic_tree(root: Path, count: int = 5) -> Path:
    """A made-up official tree: enough for its identity, no image can be decoded."""
    for part in ("Training", "Validation", "Test_v2"):
        data, masks = (
            root / f"ISIC-2017_{part}_{kind}" for kind in ("Data", "Part1_GroundTruth")
        )
        lines = ["image_id,melanoma,seborrheic_keratosis"]
        for folder in (data, masks):
            folder.mkdir(parents=True)
        for number in range(count):
            name = f"{part}_{number}"
            (data / f"{name}.jpg").write_bytes(b"")
            (masks / f"{name}_segmentation.png").write_bytes(b"")
            lines.append(f"{name},0.0,0.0")
        table = root / f"ISIC-2017_{part}_Part3_GroundTruth.csv"
        table.write_text("\n".join(lines))
    return root


def write_grid(folder: Path, text: str = GRID) -> Path:
    tree = folder / "tree"
    if not tree.exists():
        isic_tree(tree)
    path = folder / "grid.yaml"
    path.write_text(text.format(root=tree))
    return path


def call(*args: object) -> Result:
    """Give a command to `reff-bench`."""
    return CliRunner().invoke(main, [str(arg) for arg in args])


def make_up_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands train and evaluate nothing."""
    for module in ("commands", "evaluate"):
        monkeypatch.setattr(f"reff_bench.cli.{module}.run_evaluation", evaluate)
    monkeypatch.setattr("reff_bench.cli.commands.run_training", train)


def run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands run runs in this process: to start another takes seconds."""
    monkeypatch.setattr(
        "reff_bench.runner.where.LocalProcesses", lambda *_: ThisProcess()
    )


def train(config: RunConfig, folder: Path, /, **options: Any) -> None:
    """Trains nothing; fails in the way that a file beside the runs asks for."""
    report: Callable[[RunProgress], None] = options["report"]
    with (folder / "tries").open("a") as tries:
        tries.write(f"{options['device']}\n")
    report(RunProgress("training", 0.5, epoch=1, losses={"loss": 0.25}))
    trouble = folder.parents[1] / ".trouble"
    if trouble.is_file():
        asked = json.loads(trouble.read_text())
        _fail(asked.get(f"{config.method} {config.annotations} {config.seed}"), report)
    accuracy = 0.5 + 0.1 * config.seed
    record = make_record(config, "done", val_accuracy=accuracy, train_seconds=0.1)
    write_record(folder, record)


def _fail(trouble: str | None, report: Callable[[RunProgress], None]) -> None:
    if trouble == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == "nan":
        raise RunError("the loss is NaN at step 3")
    if trouble == "memory":
        raise MemoryError("no more")
    if trouble == "silent":
        raise RuntimeError
    if trouble == "sleep":
        for _ in range(1200):
            time.sleep(0.05)
            report(RunProgress("training", 0.5, epoch=1))
    if trouble == "hang":
        time.sleep(60)


def evaluate(config: RunConfig, folder: Path, /, **options: Any) -> None:
    metrics = {"test_accuracy": 0.4 + 0.1 * config.seed, "val_accuracy": float("nan")}
    write_record(folder, metrics, EVALUATION_NAME)


def do_nothing(config: RunConfig, folder: Path, /, **options: Any) -> None:
    """Writes neither a record nor an evaluation."""
