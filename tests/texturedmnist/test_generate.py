import hashlib
import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import h5py
import pandas as pd
import pytest
from filelock import FileLock

from tests.faults.breaking import remount, small_disk
from tests.faults.commands import Command, contents, processes
from tests.texturedmnist.conftest import Planner
from tests.texturedmnist.tree import flip
from texturedmnist.common.executors import ExecutorError, Part, local
from texturedmnist.common.files import FolderError, WriteError
from texturedmnist.generate import cards, make, run_build, run_part, verify
from texturedmnist.manifest import (
    MANIFEST_NAME,
    DatasetError,
    Manifest,
    VersionError,
    read_manifest,
)
from texturedmnist.recipe import Recipe
from texturedmnist.shards import cut_splits, read_columns

COUNTS = {"train": 450, "val": 30, "test": 20}
SIGNS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def by_two(place: Path) -> Command:
    """Return `texturedmnist generate` by two processes: 100 shards of five."""
    counts = [f"--{split}={count}" for split, count in COUNTS.items()]
    sources = ("--digits=embedded", f"--textures={place / 'textures'}")
    cut = ("--image-size=28", "--shard-size=5", f"--cache-dir={place / 'cache'}")
    line = ("generate", "--bg=0.2", "--tex=0.5", *sources, *counts, *cut)
    return Command("texturedmnist", (*line, "--jobs=2", "--out={out}"))


@pytest.fixture(scope="module")
def whole(
    plan: Planner, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Manifest]:
    """Return what `by_two` makes, made undisturbed by one process."""
    out = tmp_path_factory.mktemp("whole") / "tm"
    return out, run_build(plan(out, 5, **COUNTS))


def shards_in(out: Path) -> list[Path]:
    return list(out.glob("*.h5"))


@pytest.mark.parametrize(
    ("jobs", "how"), [(1, (7, "gzip")), (2, (7,)), (4, (50,)), (2, (5000,))]
)
def test_jobs_shard_size_and_storage_change_no_sample(
    plan: Planner, finished: Path, tmp_path: Path, jobs: int, how: tuple[Any, ...]
) -> None:
    out = tmp_path / "tm"
    manifest = run_build(plan(out, *how), executor=local(jobs))
    assert manifest.splits == read_manifest(finished).splits
    assert manifest == read_manifest(out)
    assert (out / "preview.png").read_bytes() == (finished / "preview.png").read_bytes()
    if how == (50,):
        assert contents(out) == contents(finished)
    with FileLock(out / ".lock", timeout=0):  # free after a run
        pass


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
    path = finished / "samples.csv"
    assert manifest.files[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    table = pd.read_csv(path)
    for split, entry in manifest.splits.items():
        rows = table[table["split"] == split]
        columns = read_columns(finished, manifest, split)
        for name in ("index", "label", "background_aligned"):
            assert rows[name].tolist() == columns[name].tolist()
        assert rows["digit"].tolist() == columns["plan/digit"].tolist()
        known = manifest.background_texture_classes
        names = [known[number] for number in columns["background_texture"]]
        assert rows["background_texture"].tolist() == names
        files = rows["background_texture_file"]
        assert [file.split("/")[0] for file in files] == names
        groups = [*(2 * rows["label"] + rows["background_aligned"])]
        assert rows["group"].tolist() == groups
        assert entry.groups == {str(g): groups.count(g) for g in range(20)}
        shards = [
            one.file for one in manifest.shards_of(split) for _ in range(one.count)
        ]
        assert rows["shard"].tolist() == shards
    assert len(table) == 100


@pytest.mark.parametrize("step", ["write_table", "write_preview", "croissant"])
def test_the_manifest_is_written_last(
    plan: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    out, fail = tmp_path / "tm", Mock(side_effect=WriteError("no room"))
    with monkeypatch.context() as patch:
        patch.setattr(make if hasattr(make, step) else cards, step, fail)
        with pytest.raises(WriteError, match="no room"):
            run_build(plan(out))
    assert not (out / MANIFEST_NAME).exists()
    assert len(shards_in(out)) == 4
    run_build(plan(out))
    assert (out / MANIFEST_NAME).exists()


def test_a_second_run_mends_what_is_not_whole(plan: Planner, dataset: Path) -> None:
    before = contents(dataset)
    # The time, since a file made again can be given the number of one that is gone.
    made = {path: path.stat().st_mtime_ns for path in shards_in(dataset)}
    image, header, gone = sorted(made)[:3]
    flip(image, image.stat().st_size // 2)  # in a sample
    flip(header, header.read_bytes().index(b"package_version") + 40)  # in none
    gone.unlink()
    (dataset / ".train-00000-of-00002.h5.123.tmp").write_bytes(b"left by a killed run")
    (dataset / ".hidden").write_text("not ours")
    run_build(plan(dataset))
    assert (dataset / ".hidden").read_text() == "not ours"
    (dataset / ".hidden").unlink()
    assert contents(dataset) == before
    kept = {path for path, then in made.items() if path.stat().st_mtime_ns == then}
    assert kept == set(made) - {image, header, gone}


def change_header(out: Path, text: bytes) -> None:
    path = min(shards_in(out))
    path.write_bytes(path.read_bytes().replace(text, text.upper(), 1))


def spoil_cards(out: Path) -> None:
    (out / "README.md").write_text("cut sh")
    (out / "croissant.json").unlink()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda out: change_header(out, b"class_10"),
        lambda out: change_header(out, b'"train": 60'),
        lambda out: (out / MANIFEST_NAME).write_text("garbage"),
        spoil_cards,
    ],
    ids=["names", "recipe", "manifest", "cards"],
)
def test_what_is_spoilt_in_an_unfinished_folder_is_written_again(
    plan: Planner, dataset: Path, spoil: Callable[[Path], object]
) -> None:
    before = contents(dataset)
    (dataset / MANIFEST_NAME).unlink()
    spoil(dataset)
    run_build(plan(dataset))
    assert contents(dataset) == before


def test_a_run_by_two_that_is_killed_leaves_no_worker_and_is_resumed(
    by_two: Command, whole: tuple[Path, Manifest], tmp_path: Path
) -> None:
    out = tmp_path / "tm"
    running = by_two.start(out)
    assert running.reaches(lambda: len(shards_in(out)) >= 40)
    session = running.process.pid or 0
    assert len(processes(session)) == 3
    running.send("parent", signal.SIGKILL)
    running.process.join()
    deadline = time.monotonic() + 30
    while processes(session):
        assert time.monotonic() < deadline
    assert not (out / MANIFEST_NAME).exists()
    kept = {path: path.stat().st_mtime_ns for path in shards_in(out)}
    (out / ".train-00001-of-00090.h5.1.tmp").write_bytes(b"stale")
    by_two.finish(out)
    assert contents(out) == contents(whole[0])
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())


@pytest.mark.parametrize(
    ("sign", "count"), [(signal.SIGINT, 0), *((sign, 2) for sign in SIGNS)]
)
def test_a_signal_to_all_processes_stops_them_and_leaves_nothing_half_done(
    by_two: Command,
    plan: Planner,
    whole: tuple[Path, Manifest],
    tmp_path: Path,
    sign: signal.Signals,
    count: int,
) -> None:
    out = tmp_path / "tm"
    running = by_two.start(out)
    if count:
        running.reaches(lambda: len(shards_in(out)) >= count)
    else:  # while the workers start
        running.reaches(lambda: len(processes(running.process.pid or 0)) > 2)
    running.send("group", sign)  # as a terminal does: to the workers too
    ended = running.end()
    assert ended.code == 128 + sign
    text = "Interrupted: finished files are kept. Run the same command again to continu"
    assert ended.error == f"{text}e."
    assert not list(out.glob(".*.tmp"))
    assert not (out / MANIFEST_NAME).exists()
    assert run_build(plan(out, 5, **COUNTS)) == whole[1]


def test_a_folder_filled_meanwhile_is_refused(plan: Planner, tmp_path: Path) -> None:
    first, second = plan(tmp_path / "tm"), plan(tmp_path / "tm", bg=0.3)
    run_build(first)
    before = contents(tmp_path)
    with pytest.raises(DatasetError, match="holds another recipe's data"):
        run_build(second)
    assert contents(tmp_path) == before


def test_a_shard_of_others_commands_no_terminal(plan: Planner, dataset: Path) -> None:
    (dataset / MANIFEST_NAME).unlink()
    for shard in shards_in(dataset):
        with h5py.File(shard, "r+") as file:
            file.attrs["identity"] = "a\x1b[2J"
    with pytest.raises(DatasetError, match=r"\(identity a\\x1b\[2J, this one is"):
        plan(dataset)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"bg": 0.3}, "holds another recipe's data, or data made from other sources"),
        ({"seed": 1}, r"another recipe's data.*choose another folder with --out"),
        ({"shard_size": 7}, r"made with another --shard-size or --compression \(none"),
        ({"compression": "gzip"}, r"another --shard-size or --compression \(none\)"),
    ],
)
def test_another_build_is_refused_and_nothing_is_touched(
    plan: Planner, dataset: Path, change: dict[str, Any], text: str
) -> None:
    for unfinished in (False, True):
        if unfinished:
            (dataset / MANIFEST_NAME).unlink()
        before = contents(dataset)
        with pytest.raises(DatasetError, match=text):
            plan(dataset, **change)
        assert contents(dataset) == before


FOREIGN = "thesis.tex b.txt c.txt d.txt train-1-of-2.h5"


@pytest.mark.parametrize(
    ("names", "content", "text"),
    [
        (FOREIGN, "mine", r"aren't a Textured MNIST's: b.txt, c.txt, d.txt and 2 "),
        ("README.md", "mine", r"aren't a Textured MNIST's: README\.md; "),
        ("croissant.json", "mine", r"aren't a Textured MNIST's: croissant\.json; "),
        (MANIFEST_NAME, "{}", "has no format version: it isn't a"),
        (MANIFEST_NAME, "some other program's", "is not valid JSON"),
    ],
)
def test_foreign_files_are_refused_and_untouched(
    plan: Planner, tmp_path: Path, names: str, content: str, text: str
) -> None:
    for name in names.split():
        (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=text):
        plan(tmp_path)
    assert contents(tmp_path) == dict.fromkeys(names.split(), content.encode())


def test_a_newer_dataset_or_odd_shard_is_refused(plan: Planner, dataset: Path) -> None:
    path = dataset / MANIFEST_NAME
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"format_version": 2}))
    with pytest.raises(VersionError, match="has format version 2"):
        plan(dataset)
    path.unlink()
    (dataset / "train-00000-of-00009.h5").write_text("no shard")
    with pytest.raises(DatasetError, match=r"train-00000-of-00009\.h5 can't be read"):
        plan(dataset)


@pytest.mark.parametrize(
    ("out", "text"),
    [
        ("file", "file is a file; give a folder to --out"),
        ("file/tm", "can't write to .*: Not a directory; choose another folder"),
        ("x" * 300, "can't write to .*: File name too long"),
        ("/proc/tm", "can't write to|needs .* MB more"),
        ("/sys/tm", "can't write to|needs .* MB more"),
    ],
)
def test_a_place_that_takes_no_files_is_reported(
    plan: Planner, tmp_path: Path, out: str, text: str
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises((FolderError, DatasetError), match=text):
        run_build(plan(tmp_path / out))
    assert contents(tmp_path) == {"file": b"mine"}


def test_too_little_room_is_reported_before_the_first_byte(
    plan: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = plan(tmp_path / "a" / "b")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    text = r"needs 4\.56 MB more, but only 1\.00 kB are free: make"
    with pytest.raises(DatasetError, match=text):
        run_build(build)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_keeps_what_two_have_finished(
    plan: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**40))
    with small_disk(tmp_path / "disk", "2m") as disk:
        out = disk / "tm"
        build = plan(out, 50, train=1000)
        with pytest.raises(WriteError, match=r"can't write .*: No space left on .*; f"):
            run_build(build, executor=local(2))
        assert not list(out.glob(".*.tmp"))
        assert not (out / MANIFEST_NAME).exists()
        kept = {path: path.stat().st_mtime_ns for path in shards_in(out)}
        assert kept
        remount(disk, "size=20m")
        run_build(build)
        assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
        assert verify(out) == ()


@pytest.mark.parametrize("count", [0, 1, 5, 17])
def test_the_parts_make_up_the_whole_in_equal_shares(count: int) -> None:
    shares = [Part.parse(f"{number}/4").take(range(count)) for number in range(1, 5)]
    assert sorted(item for share in shares for item in share) == list(range(count))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


LONG = "1/" + "9" * 5000
NO_PARTS = ("2", "0/4", "5/4", "1/0", "a/b", "1/4/2", "-1/4", "", "²/4", LONG)


@pytest.mark.parametrize("text", NO_PARTS, ids=range(len(NO_PARTS)))
def test_a_part_that_is_none_is_refused(text: str) -> None:
    shown = f"--part {text[:40]}: give i/n with 1 <= i <= "
    with pytest.raises(ExecutorError, match=shown):
        Part.parse(text)


def test_parts_and_a_last_run_make_the_same(plan: Planner, tmp_path: Path) -> None:
    whole = run_build(plan(tmp_path / "whole", 10))
    parts = plan(tmp_path / "parts", 10)
    made = [run_part(parts, Part(3, 3)), run_part(parts, Part(1, 3), executor=local(2))]
    assert made == [3, 4]
    assert not (parts.out / MANIFEST_NAME).exists()
    before = {path: path.stat().st_mtime_ns for path in parts.out.glob("*.h5")}
    assert len(before) == 7
    assert run_build(parts) == whole  # the second part, which was never run, too
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_part_leaves_the_files_of_others_alone(plan: Planner, tmp_path: Path) -> None:
    build = plan(tmp_path / "tm", 10)
    build.out.mkdir()
    mine, others = (build.specs[number].file for number in (0, 1))
    for name in (mine, others):
        (build.out / f".{name}.0123.tmp").write_bytes(b"half")
    run_part(build, Part(1, 2))
    assert [path.name for path in build.out.glob(".*.tmp")] == [f".{others}.0123.tmp"]


@pytest.mark.parametrize(
    ("held", "part"),
    [
        (".lock", Part(1, 2)),
        (".lock-1-of-2", Part(1, 2)),
        (".lock-2-of-3", Part(1, 2)),
        (".lock-1-of-2", None),
        (".lock", None),
    ],
)
def test_two_who_make_the_same_are_refused(
    held: str, part: Part | None, plan: Planner, tmp_path: Path
) -> None:
    build = plan(tmp_path / "tm", 10)
    build.out.mkdir()
    with (
        FileLock(build.out / held),
        pytest.raises(FolderError, match=r"another process is writing to .*; wait for"),
    ):
        run_build(build) if part is None else run_part(build, part)


def test_parts_run_side_by_side(plan: Planner, tmp_path: Path) -> None:
    build = plan(tmp_path / "tm", 10)
    build.out.mkdir()
    with FileLock(build.out / ".lock-2-of-2"):
        assert run_part(build, Part(1, 2)) == 5
