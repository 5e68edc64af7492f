"""A grid that is killed at any moment and run again ends as an unbroken one does."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from reff_bench.results import CHECKPOINT_NAME, RECORD_NAME
from tests.faults.killing import Command, contents, moments

GRID = """\
name: killed
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
  method: [baseline, reff]
  annotations: [1]
  seed: [0]
training: {backbone: resnet_small, epochs: 2, batch_size: 16}
annotator: {base_channels: 4, steps: 20}
"""
# What tells how long something took, or lies in a file of weights beside such.
TIMES = {"train_seconds", "images_per_second", "peak_memory_bytes", "data_stall_share"}
MANY = 20
pytestmark = pytest.mark.slow


def outcome(out: Path) -> dict[str, object]:
    """All that a grid leaves, what depends on the clock left out."""
    found: dict[str, object] = {}
    for name, content in contents(out).items():
        if name.endswith(CHECKPOINT_NAME):
            found[name] = weights(out / name)
        elif name.endswith(RECORD_NAME):
            fields = json.loads(content)
            found[name] = {k: v for k, v in fields.items() if k not in TIMES}
        elif not name.endswith((".pt", ".json", "report.html")):
            found[name] = content
        else:
            found[name] = None
    return found


def weights(path: Path) -> list[tuple[str, bytes]]:
    """The tensors of a checkpoint, to the bit."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    return [(k, v.numpy().tobytes()) for k, v in content["model"].items()]


@pytest.mark.parametrize("what", ["parent", "worker", "group"])
def test_a_killed_grid_is_finished_by_the_same_command(
    what: str, tmp_path: Path
) -> None:
    grid = tmp_path / "grid.yaml"
    grid.write_text(GRID)
    args = ("run", str(grid), "--out", "{out}", "--device", "cpu", "--jobs", "2")
    command = Command("reff_bench", args)
    out = tmp_path / "out"
    command.finish(out)  # fills the caches
    shutil.rmtree(out)
    begun = time.monotonic()
    command.finish(out)
    seconds = time.monotonic() - begun
    expected = outcome(out)
    assert "report.html" in expected
    for after in moments(seconds, MANY, seed=len(what)):
        shutil.rmtree(out)
        command.stop(out, after, what, signal.SIGKILL)
        command.finish(out)
        assert outcome(out) == expected, f"killed after {after:.2f} s"
