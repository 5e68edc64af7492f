"""A grid of two runs that takes some seconds, and what it leaves behind."""

import json
import re
from pathlib import Path
from typing import Any

import torch

from tests.faults.commands import Command, contents

GRID = """\
name: broken
data:
  kind: textured_mnist
  digits: embedded
  textures: embedded
  embedded_instances: 6
  train: 60
  val: 20
  test: 20
  image_size: 28
  bg: 0.0
  tex: 0.0
axes:
  method: [reff, reff_l1]
  annotations: [1]
  seed: [0]
training: {backbone: resnet_small, epochs: 2, batch_size: 16}
annotator: {base_channels: 4, steps: 60}
"""
TIMES = {
    *("train_seconds", "processor_seconds", "images_per_second"),
    *("peak_memory_bytes", "data_stall_share"),
}
LOADS = (
    *("reff_bench.train.run", "reff_bench.evaluate.checkpoint"),
    "reff_bench.report.figures.write",
)
DIGESTED = (".pt.sha256", "grid.json")  # of what has times or paths in it


def run_command(folder: Path, *options: str, grid: str = GRID) -> Command:
    """Return the command that runs a grid, kept in a folder, on the CPU, by two."""
    path = folder / "grid.yaml"
    path.write_text(grid)
    args = ("run", str(path), "--out", "{out}", "--device", "cpu", "--jobs", "2")
    return Command("reff_bench", (*args, *options), LOADS)


def outcome(out: Path) -> dict[str, object]:
    """All that a grid leaves; what depends on the clock is left out."""
    found: dict[str, object] = {}
    for name, content in contents(out).items():
        if name.endswith(".pt"):
            found[name] = _weights(out / name)
        elif name.endswith("record.json"):
            fields = json.loads(content)
            lasting = fields.keys() - TIMES - {"sha256"}  # the digest is of all
            found[name] = {key: fields[key] for key in lasting}
        elif name == "report.html":
            found[name] = re.sub(rb"[0-9.]+", b"", content)
        else:
            found[name] = None if name.endswith(DIGESTED) else content
    return found


def _weights(path: Path) -> Any:  # noqa: ANN401 (whatever lies in the file)
    content = torch.load(path, map_location="cpu", weights_only=True)
    return _plain(content.get("model", content))


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return tensors as bytes, at any depth."""
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value


def stage(out: Path) -> str:
    """Say how far a grid is: `annotator`, `epochs`, `evaluation` or `cells`."""
    runs = [path for path in out.glob("cells/*") if path.is_dir()]
    if not list(out.glob("annotators/*/report.json")):
        return "annotator"
    if not all((run / "record.json").exists() for run in runs):
        return "epochs"
    done = all((run / "evaluation.json").exists() for run in runs)
    return "cells" if done else "evaluation"


def finished(out: Path) -> dict[Path, int]:
    """The files of finished runs, and when each was written."""
    return {
        path: path.stat().st_mtime_ns
        for evaluation in out.glob("cells/*/evaluation.json")
        for path in evaluation.parent.iterdir()
    }
