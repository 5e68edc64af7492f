import csv
import errno
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
from filelock import FileLock

from tests.texturedmnist.conftest import Planner
from texturedmnist.common.executors import local
from texturedmnist.common.files import FolderError, WriteError
from texturedmnist.generate import (
    cards,
    make,
    plan_build,
    run_build,
    verify,
)
from texturedmnist.manifest import (
    MANIFEST_NAME,
    DatasetError,
    Manifest,
    VersionError,
    read_manifest,
)
from texturedmnist.recipe import Recipe
from texturedmnist.shards import cut_splits, map_pixels, read_columns

COUNTS = {"train": 450, "val": 30, "test": 20}
Command = Callable[..., subprocess.Popen[str]]


class Usage(NamedTuple):
    """What shutil.disk_usage returns."""

    total: int
    used: int
    free: int


@pytest.fixture
def command(place: Path) -> Iterator[Command]:
    """Start `texturedmnist generate` in a process of its own: 100 shards of five."""
    started: list[subprocess.Popen[str]] = []
    textures = f"--textures={place / 'textures'}"

    def start(out: Path, *options: str, **settings: Any) -> subprocess.Popen[str]:
        counts = [f"--{split}={count}" for split, count in COUNTS.items()]
        line = [sys.executable, "-c", "from texturedmnist.cli import main; main()"]
        line += ["generate", "--bg=0.2", "--tex=0.5", "--digits=embedded", textures]
        line += [*counts, "--image-size=28", f"--cache-dir={place / 'cache'}"]
        line += ["--shard-size=5", f"--out={out}", *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(
            line, start_new_session=True, **{**pipes, **settings}
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def whole(
    plan: Planner, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Manifest]:
    """Return what an undisturbed run of `command` makes."""
    out = tmp_path_factory.mktemp("whole") / "tm"
    return out, run_build(plan(out, 5, **COUNTS))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(line, check=False).returncode:
        pytest.skip("mounting isn't permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".lock"}


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*.tmp")]


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def shards_in(out: Path) -> list[Path]:
    return list(out.glob("*.h5"))


def has_shards(out: Path, count: int) -> bool:
    return len(shards_in(out)) >= count


def all_gone(pids: set[int]) -> bool:
    return not any(map(alive, pids))


def children(pid: int) -> set[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return {int(number) for number in path.read_text().split()}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(("jobs", "shard_size"), [(1, 7), (2, 7), (4, 50), (2, 5000)])
def test_jobs_and_shard_size_change_no_sample(
    plan: Planner, finished: Path, tmp_path: Path, jobs: int, shard_size: int
) -> None:
    out = tmp_path / "tm"
    manifest = run_build(plan(out, shard_size), executor=local(jobs))
    assert manifest.splits == read_manifest(finished).splits
    assert manifest == read_manifest(out)
    assert (out / "preview.png").read_bytes() == (finished / "preview.png").read_bytes()
    if shard_size == 50:
        assert content(out) == content(finished)


@pytest.mark.slow
def test_shards_of_64_and_5000_hold_the_same_samples(
    plan: Planner, tmp_path: Path
) -> None:
    many = {"train": 12_000, "val": 500, "test": 700}
    small = run_build(plan(tmp_path / "a", 64, **many), executor=local(2))
    large = run_build(plan(tmp_path / "b", 5000, **many))
    assert small.splits == large.splits


def test_the_first_samples_of_a_longer_run_are_those_of_a_shorter(
    plan: Planner, tmp_path: Path
) -> None:
    for name, count in (("short", 30), ("long", 90)):
        run_build(plan(tmp_path / name, 100, train=count, val=0, test=count))
    short, long = (tmp_path / n / "train-00000-of-00001.h5" for n in ("short", "long"))
    for ours, theirs in zip(map_pixels(short), map_pixels(long), strict=True):
        assert np.array_equal(ours, theirs[:30])
    one, other = (
        read_columns(tmp_path / n, read_manifest(tmp_path / n), "test")
        for n in ("short", "long")
    )
    assert all(np.array_equal(one[name], other[name][:30]) for name in one)


def test_shards_cover_each_split_once() -> None:
    recipe = Recipe(bg=0, tex=0, train=20, val=0, test=7, val_shifted=True)
    places = [(p.file, p.start, p.count) for p in cut_splits(recipe.counts(), 7)]
    assert places == [
        ("train-00000-of-00003.h5", 0, 7),
        ("train-00001-of-00003.h5", 7, 7),
        ("train-00002-of-00003.h5", 14, 6),
        ("test-00000-of-00001.h5", 0, 7),
    ]


def test_the_table_agrees_with_the_shards(finished: Path) -> None:
    manifest = read_manifest(finished)
    with (finished / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    digest = hashlib.sha256((finished / "samples.csv").read_bytes()).hexdigest()
    assert manifest.files["samples.csv"] == digest
    position = 0
    for split in manifest.splits:
        columns = read_columns(finished, manifest, split)
        groups = dict.fromkeys(manifest.splits[split].groups, 0)
        for k in range(manifest.splits[split].count):
            row, position = rows[position], position + 1
            number = columns["background_texture"][k]
            assert row["split"] == split
            assert int(row["index"]) == k == columns["index"][k]
            assert int(row["label"]) == columns["label"][k]
            assert int(row["digit"]) == columns["plan/digit"][k]
            name = manifest.background_texture_classes[number]
            assert row["background_texture"] == name
            assert row["background_texture_file"].startswith(f"{name}/")
            aligned = int(columns["background_aligned"][k])
            assert int(row["background_aligned"]) == aligned
            assert int(row["group"]) == 2 * int(row["label"]) + aligned
            entry = next(s for s in manifest.shards if s.file == row["shard"])
            assert entry.start <= k < entry.start + entry.count
            groups[row["group"]] += 1
        assert groups == manifest.splits[split].groups


@pytest.mark.parametrize("step", ["write_table", "write_preview", "make_cards"])
def test_the_manifest_is_written_last(
    plan: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise WriteError("no room")

    out = tmp_path / "tm"
    with monkeypatch.context() as patch:
        patch.setattr(make if hasattr(make, step) else cards, step, fail)
        with pytest.raises(WriteError, match="no room"):
            run_build(plan(out))
    assert not (out / MANIFEST_NAME).exists()
    assert len(shards_in(out)) == 4
    run_build(plan(out))
    assert (out / MANIFEST_NAME).exists()


def test_a_second_run_keeps_what_is_whole_and_mends_the_rest(
    plan: Planner, dataset: Path
) -> None:
    before = content(dataset)
    # The time, since a file made again can be given the number of one that is gone.
    made = {path: path.stat().st_mtime_ns for path in shards_in(dataset)}
    image, header, gone = sorted(made)[:3]
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 1  # in a sample
    image.write_bytes(data)
    data = bytearray(header.read_bytes())
    data[data.index(b"package_version") + 40] ^= 1  # in no sample
    header.write_bytes(data)
    gone.unlink()
    (dataset / ".train-00000-of-00002.h5.123.tmp").write_bytes(b"left by a killed run")
    (dataset / ".hidden").write_text("not ours")
    run_build(plan(dataset))
    assert (dataset / ".hidden").read_text() == "not ours"
    (dataset / ".hidden").unlink()
    assert content(dataset) == before
    kept = {path for path, then in made.items() if path.stat().st_mtime_ns == then}
    assert kept == set(made) - {image, header, gone}


@pytest.mark.parametrize("name", ["class_10", '"train": 60'])
def test_a_damaged_header_is_mended_before_there_is_a_manifest(
    plan: Planner, dataset: Path, name: str
) -> None:
    before = content(dataset)
    (dataset / MANIFEST_NAME).unlink()
    path = min(shards_in(dataset))
    data = path.read_bytes().replace(name.encode(), name.upper().encode(), 1)
    path.write_bytes(data)
    run_build(plan(dataset))
    assert content(dataset) == before


def test_a_broken_manifest_beside_our_shards_is_written_again(
    plan: Planner, dataset: Path
) -> None:
    before = content(dataset)
    (dataset / MANIFEST_NAME).write_text("garbage")
    run_build(plan(dataset))
    assert content(dataset) == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_killed_at_several_moments_is_resumed(
    command: Command, whole: tuple[Path, Manifest], tmp_path: Path, jobs: int
) -> None:
    out, manifest = tmp_path / "tm", whole[1]
    for count in (1, 40)[2 - jobs :]:
        process = command(out, f"--jobs={jobs}")
        kept = {path: path.stat().st_ino for path in shards_in(out)}
        enough = len(kept) + count
        wait_for(partial(has_shards, out, enough))
        workers = children(process.pid)
        process.kill()
        process.wait()
        assert len(workers) >= (jobs if jobs > 1 else 0)
        wait_for(partial(all_gone, workers), 10)
        assert not (out / MANIFEST_NAME).exists()
        assert all(path.stat().st_ino == inode for path, inode in kept.items())
    (out / ".train-00001-of-00090.h5.1.tmp").write_bytes(b"stale")
    process = command(out, f"--jobs={jobs}")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert read_manifest(out) == manifest
    assert leftovers(out) == []
    assert content(out) == content(whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.1, 0.4, 0.8, 1.2, 1.6, 2.0, 2.4])
def test_a_run_killed_at_any_time_is_resumed(
    command: Command, whole: tuple[Path, Manifest], tmp_path: Path, delay: float
) -> None:
    out = tmp_path / "tm"
    process = command(out, "--jobs=2")
    time.sleep(delay)
    process.kill()
    process.wait()
    process = command(out, "--jobs=2")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert read_manifest(out) == whole[1]
    assert leftovers(out) == []


@pytest.mark.parametrize(("jobs", "moment"), [(1, 2), (2, 0), (2, 2)])
def test_ctrl_c_says_how_to_go_on_and_leaves_nothing_half_done(
    command: Command,
    plan: Planner,
    whole: tuple[Path, Manifest],
    tmp_path: Path,
    jobs: int,
    moment: int,
) -> None:
    out = tmp_path / "tm"
    process = command(out, f"--jobs={jobs}")
    if moment:
        wait_for(lambda: len(shards_in(out)) >= moment)
    else:  # while the workers start
        wait_for((out / ".lock").exists)
        wait_for(lambda: len(children(process.pid)) >= jobs)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    lines = [line for line in errors.splitlines() if "generate: " not in line]
    assert lines == [
        "Error: Interrupted: finished files are kept. "
        "Run the same command again to continue."
    ]
    assert leftovers(out) == []
    assert not (out / MANIFEST_NAME).exists()
    assert run_build(plan(out, 5, **COUNTS)) == whole[1]


def test_a_second_writer_is_refused_and_the_first_finishes(
    command: Command, plan: Planner, whole: tuple[Path, Manifest], tmp_path: Path
) -> None:
    out = tmp_path / "tm"
    build = plan(out, 5, **COUNTS)
    process = command(out, "--jobs=1")
    wait_for(lambda: shards_in(out))
    with pytest.raises(FolderError, match=r"another process is writing to .*tm; wait"):
        run_build(build)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert read_manifest(out) == whole[1]


def test_a_folder_filled_since_the_plan_is_refused(
    plan: Planner, tmp_path: Path
) -> None:
    first, second = plan(tmp_path / "tm"), plan(tmp_path / "tm", bg=0.3)
    run_build(first)
    before = content(tmp_path / "tm")
    with pytest.raises(DatasetError, match="holds another recipe's data"):
        run_build(second)
    assert content(tmp_path / "tm") == before


def test_a_shard_of_others_commands_no_terminal(plan: Planner, tmp_path: Path) -> None:
    run_build(plan(tmp_path / "tm"))
    (tmp_path / "tm" / "manifest.json").unlink()
    for shard in (tmp_path / "tm").glob("*.h5"):
        with h5py.File(shard, "r+") as file:
            file.attrs["identity"] = "a\x1b[2J"
    with pytest.raises(DatasetError, match=r"\(identity a\\x1b\[2J, this one is"):
        plan(tmp_path / "tm")


def test_the_lock_is_free_after_a_run(finished: Path) -> None:
    with FileLock(finished / ".lock", timeout=0):
        pass


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"bg": 0.3}, r"holds another recipe's data, or data made from other sources"),
        ({"seed": 1}, r"another recipe's data.*choose another folder with --out"),
        (
            {"shard_size": 7},
            r"made with another --shard-size or --compression \(none\)",
        ),
        ({"compression": "gzip"}, r"another --shard-size or --compression \(none\)"),
    ],
)
@pytest.mark.parametrize("unfinished", [False, True])
def test_another_build_is_refused_and_nothing_is_touched(
    plan: Planner, dataset: Path, change: dict[str, Any], text: str, unfinished: bool
) -> None:
    if unfinished:
        (dataset / MANIFEST_NAME).unlink()
    before = content(dataset)
    with pytest.raises(DatasetError, match=text):
        plan(dataset, **change)
    assert content(dataset) == before


def test_foreign_files_are_refused_and_untouched(plan: Planner, tmp_path: Path) -> None:
    for name in ("thesis.tex", "b.txt", "c.txt", "d.txt", "train-1-of-2.h5"):
        (tmp_path / name).write_text("mine")
    before = content(tmp_path)
    with pytest.raises(
        DatasetError,
        match=r"holds files that aren't a Textured MNIST's: b.txt, c.txt, d.txt and 2 ",
    ):
        plan(tmp_path)
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["README.md", "croissant.json"])
def test_a_card_without_a_dataset_is_somebody_elses(
    plan: Planner, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(DatasetError, match=f"aren't a Textured MNIST's: {name}; "):
        plan(tmp_path)
    assert content(tmp_path) == {name: b"mine"}


def test_cards_beside_an_unfinished_dataset_are_written_again(
    plan: Planner, dataset: Path
) -> None:
    before = content(dataset)
    (dataset / MANIFEST_NAME).unlink()
    (dataset / "README.md").write_text("cut sh")
    (dataset / "croissant.json").unlink()
    run_build(plan(dataset))
    assert content(dataset) == before


def test_a_foreign_manifest_is_refused(plan: Planner, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_text("{}")
    with pytest.raises(DatasetError, match="has no format version: it isn't a"):
        plan(tmp_path)
    (tmp_path / MANIFEST_NAME).write_text("some other program's")
    with pytest.raises(DatasetError, match="is not valid JSON"):
        plan(tmp_path)


def test_a_newer_dataset_and_an_odd_shard_are_refused(
    plan: Planner, dataset: Path
) -> None:
    path = dataset / MANIFEST_NAME
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"format_version": 2}))
    with pytest.raises(VersionError, match="has format version 2"):
        plan(dataset)
    path.unlink()
    (dataset / "train-00000-of-00009.h5").write_text("no shard")
    with pytest.raises(DatasetError, match=r"train-00000-of-00009\.h5 can't be read"):
        plan(dataset)


def test_hidden_files_are_no_obstacle(plan: Planner, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".DS_Store").write_text("x")
    run_build(plan(tmp_path))
    assert (tmp_path / ".DS_Store").read_text() == "x"


def test_a_file_is_no_folder(plan: Planner, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(DatasetError, match=r"file is a file; give a folder to --out"):
        plan(path)
    with pytest.raises(FolderError, match=r"can't write to .*: Not a directory"):
        run_build(plan(path / "tm"))
    assert path.read_text() == "mine"


def test_a_name_too_long_is_told(plan: Planner, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"can't write to .*: File name too long"):
        plan(tmp_path / ("x" * 300))


def test_a_folder_that_cannot_be_written_is_told(
    plan: Planner, small_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    few = {"train": 5, "val": 0, "test": 0}
    for out in (small_disk, small_disk / "tm"):
        text = r"can't write to .*: Read-only file system; choose another folder"
        with pytest.raises(FolderError, match=text):
            run_build(plan(out, **few))


@pytest.mark.parametrize("path", ["/proc/tm", "/sys/tm"])
def test_a_place_that_takes_no_files_is_told(plan: Planner, path: str) -> None:
    if not Path(path).parent.is_dir():
        pytest.skip(f"no {Path(path).parent} here")
    with pytest.raises(
        (FolderError, DatasetError), match=r"can't write to|needs .* MB more"
    ):
        run_build(plan(Path(path)))
    assert not Path(path).exists()


def test_a_disk_too_small_for_all_is_refused_before_the_first_byte(
    plan: Planner, small_disk: Path
) -> None:
    with pytest.raises(DatasetError, match=r"needs .* MB more, but only .* free: make"):
        run_build(plan(small_disk / "tm"))
    assert list(small_disk.iterdir()) == []


def test_too_little_room_is_told_wherever_it_is_asked(
    plan: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = plan(tmp_path / "a" / "b")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 1000))
    with pytest.raises(DatasetError, match=r"needs 4\.56 MB more, but only 1\.00 kB"):
        run_build(build)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_disk_that_fills_up_keeps_what_is_finished(
    plan: Planner, small_disk: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 2**40))
    out = small_disk / "tm"
    build = plan(out, 50, train=1000)
    with pytest.raises(
        WriteError, match=r"can't write .*: No space left on device; fi"
    ):
        run_build(build, executor=local(jobs))
    assert leftovers(out) == []
    assert not (out / MANIFEST_NAME).exists()
    kept = {path: path.stat().st_ino for path in shards_in(out)}
    assert kept
    line = ["mount", "-o", "remount,size=20m", str(small_disk)]
    subprocess.run(line, check=True)
    run_build(build)
    assert all(path.stat().st_ino == inode for path, inode in kept.items())
    assert verify(out) == ()


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_limit_on_file_size_is_told_in_one_message(
    command: Command, plan: Planner, tmp_path: Path, jobs: int
) -> None:
    out, limit = tmp_path / "tm", 150_000
    process = command(
        out,
        f"--jobs={jobs}",
        "--shard-size=100",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    last = [line for line in errors.splitlines() if "generate: " not in line]
    assert len(last) == 1, errors
    assert last[0].startswith(f"Error: can't write {out}")
    assert f"{os.strerror(errno.EFBIG)}; finished files are kept" in last[0]
    assert leftovers(out) == []
    run_build(plan(out, 100, **COUNTS))
    assert verify(out) == ()


def test_plan_build_opens_the_sources_it_is_told(place: Path, tmp_path: Path) -> None:
    folder = str(place / "textures")
    recipe = Recipe(
        bg=1,
        tex=1,
        digits="embedded",
        digit_textures=folder,
        background_textures=folder,
        train=3,
    )
    build = plan_build(recipe, tmp_path / "tm", cache_dir=tmp_path / "cache", jobs=2)
    assert (tmp_path / "cache").is_dir()
    assert build.sources.digit_textures.index.heights.min() >= 224
