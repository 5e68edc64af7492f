"""Random damage of decoded pixels and files of records: no other data come of it."""

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch

from reff_bench.data.files import find_annotated, open_pixels
from reff_bench.data.pixels import FilePixels
from reff_bench.identity.pets import read_pets
from reff_bench.results.collected import collect_runs, read_records
from reff_bench.results.json_file import ResultsError
from tests.faults.damage import damage
from tests.reff_bench.made_up_runs import study_configs, write_runs
from tests.reff_bench.trees import make_pets
from tests.texturedmnist.tree import write_textures
from texturedmnist.common.cache import Cache
from texturedmnist.sources import SourceError, open_textures

CLASSES = ("banded", "dotted")
FOUND = "found"
SEEDS = [
    pytest.param(range(20), id="short"),
    pytest.param(range(1000, 1500), id="long", marks=pytest.mark.slow),
]


def damage_often(
    folder: Path, seeds: range, read: Callable[[], Sequence[object]]
) -> int:
    """Damage a whole folder once for each seed; return how often that was found.

    All that is read of it is as before, or `FOUND`.
    """
    whole, truth, found = folder.with_name("whole"), read(), 0
    assert FOUND not in truth
    shutil.copytree(folder, whole)
    for seed in seeds:
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        what, _ = damage(folder, random.Random(seed))
        now = read()
        for value, right in zip(now, truth, strict=True):
            assert value in (FOUND, right), f"{what} (seed {seed})"
        found += FOUND in now
    return found


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("seeds", SEEDS)
def test_damaged_textures_are_made_again_or_found(
    seeds: range, check: bool, tmp_path: Path
) -> None:
    write_textures(tmp_path / "own", CLASSES, 3, (30, 28))
    cache = tmp_path / "cache"
    open_bank = partial(open_textures, data_root=tmp_path, cache_dir=cache)

    def read_bank(side: int) -> object:
        try:
            own = str(tmp_path / "own")
            bank = open_bank(own, CLASSES, min_side=side, check=check)
            return [bank.image(file).tobytes() for file in range(len(bank))]
        except SourceError:
            return FOUND

    found = damage_often(cache, seeds, lambda: [*map(read_bank, (28, 30))])
    assert (found == 0) == check  # all that is checked when opened is made again


@pytest.mark.parametrize("limit", [2**30, 0])
@pytest.mark.parametrize("seeds", SEEDS)
def test_damaged_photographs_are_made_again(
    seeds: range, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reff_bench.data.pixels.MEMORY_LIMIT_BYTES", limit)
    parts = read_pets(make_pets(tmp_path / "pets")).parts.values()
    cache = tmp_path / "cache"

    def read() -> Iterator[object]:
        memory = Cache()
        for part in parts:
            source = FilePixels(part.images, part.masks, "trimap", 8)
            yield find_annotated(memory, source, cache).tolist()
            rows = torch.arange(len(part.images))
            pixels = open_pixels(memory, source, cache).read(rows)
            yield [one.numpy().tobytes() for one in pixels]

    assert damage_often(cache, seeds, lambda: [*read()]) == 0


@pytest.mark.parametrize("seeds", SEEDS)
def test_damaged_records_are_found_or_without_effect(
    seeds: range, tmp_path: Path
) -> None:
    configs = study_configs(("baseline", "reff"), (1, "all"))
    write_runs(tmp_path / "out", configs, lambda config: config.seed < 2)
    path = tmp_path / "kept" / "records.jsonl"
    collect_runs([tmp_path / "out"], path)

    def read() -> list[object]:
        try:
            return [read_records(path)]
        except (ResultsError, FileNotFoundError):
            return [FOUND]

    assert damage_often(path.parent, seeds, read) > len(seeds) / 2
