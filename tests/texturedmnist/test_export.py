import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from tests.faults.commands import contents
from tests.python import run_python
from tests.texturedmnist.conftest import Planner, Runner, refused
from tests.texturedmnist.test_card import HEADINGS, front_of, headings_of
from texturedmnist.cli.commands import LAYOUTS as OFFERED
from texturedmnist.common.files import FolderError, WriteError
from texturedmnist.generate import run_build
from texturedmnist.interop.export import (
    LAYOUTS,
    RECORD_NAME,
    estimate_export,
    plan_export,
    read_record,
    run_export,
)
from texturedmnist.interop.export.base import encode, holds
from texturedmnist.manifest import DatasetError, read_manifest
from texturedmnist.shards import map_pixels

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture(scope="module")
def whole(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished export of PNG files: leave it as it is."""
    out = tmp_path_factory.mktemp("export") / "out"
    run_export(plan_export(finished, "folder", out))
    return out


def stored(folder: Path, split: str) -> Iterator[Pair]:
    """Yield the images and masks of a dataset's split."""
    for shard in read_manifest(folder).shards_of(split):
        yield from zip(*map_pixels(folder / shard.file), strict=True)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_leads_to_its_very_pixels(finished: Path, whole: Path) -> None:
    rows = rows_of(whole)
    seen = 0
    for split in read_manifest(finished).splits:
        mine = [row for row in rows if row["split_name"] == split]
        pairs = zip(mine, stored(finished, split), strict=True)
        for number, (row, pair) in enumerate(pairs):
            assert int(row["index"]) == number
            names = ("img_filename", "mask_filename")
            image, mask = (np.asarray(Image.open(whole / row[name])) for name in names)
            assert image.shape == (28, 28, 3)
            assert np.array_equal(image, pair[0])
            assert np.array_equal(mask, pair[1])
            with Image.open(whole / row["mask_filename"]) as shown:
                assert shown.mode == "1"  # black and white to other eyes
                assert np.array_equal(np.asarray(shown.convert("L")), 255 * pair[1])
            seen += 1
    assert seen == len(rows) == 100
    assert len(list(whole.rglob("*.png"))) == 200


def test_subpopbench_reads_the_table(whole: Path) -> None:
    """As its `SubpopDataset` does: root, split number, `filename`, `y`, `a`."""
    table = pd.read_csv(whole / "metadata.csv")
    for number, count in enumerate((60, 20, 20)):
        part = table[table["split"] == number]
        assert len(part) == count
        assert all((whole / str(name)).is_file() for name in part["filename"])
        assert {*part["a"]} == {0, 1}
        assert {*part["y"]} <= {*range(10)}


def test_group_dro_dfr_and_jtt_read_the_table(finished: Path, whole: Path) -> None:
    """As they read Waterbirds': `img_filename`, `y`, `place`, `split`."""
    table = pd.read_csv(whole / "metadata.csv")
    manifest = read_manifest(finished)
    for number, split in enumerate(("train", "val", "test")):
        part = table[table["split"].to_numpy() == number]
        groups = (part["y"] * part["place"].nunique() + part["place"]).astype(int)
        sizes = {str(g): int((groups == g).sum()) for g in range(20)}
        assert sizes == manifest.splits[split].groups
        assert (groups == part["group"]).all()
        with Image.open(whole / part["img_filename"].to_numpy()[0]) as image:
            assert image.convert("RGB").size == (28, 28)
    assert table["img_id"].tolist() == list(range(100))


def test_the_table_agrees_with_the_datasets_own(finished: Path, whole: Path) -> None:
    with (finished / "samples.csv").open(newline="") as file:
        for ours, theirs in zip(csv.DictReader(file), rows_of(whole), strict=True):
            assert theirs["y"] == ours["label"]
            assert theirs["split_name"] == ours["split"]
            assert theirs["place_filename"] == ours["background_texture_file"]
            shared = ours.keys() & theirs.keys() - {"split"}
            assert len(shared) == 9
            assert all(ours[name] == theirs[name] for name in shared)


def test_a_shifted_split_is_a_fourth_number(plan: Planner, tmp_path: Path) -> None:
    run_build(plan(tmp_path / "tm", val_shifted=True))
    run_export(plan_export(tmp_path / "tm", "folder", tmp_path / "out"))
    table = pd.read_csv(tmp_path / "out" / "metadata.csv")
    shifted = table[table["split_name"] == "val_shifted"]
    assert set(shifted["split"]) == {3}
    assert len(shifted) == 20
    assert (tmp_path / "out" / shifted["filename"].to_numpy()[0]).is_file()


def test_jobs_or_cut_change_no_file(plan: Planner, whole: Path, tmp_path: Path) -> None:
    run_build(plan(tmp_path / "tm", 7, "gzip"))
    export = plan_export(tmp_path / "tm", "folder", tmp_path / "out")
    run_export(replace(export, part_samples=11), jobs=2)
    assert contents(tmp_path / "out") == contents(whole)


def test_the_record_says_what_there_is(finished: Path, whole: Path) -> None:
    record = read_record(whole)
    assert record is not None
    assert record.identity == read_manifest(finished).identity
    assert (record.layout, record.format_version) == ("folder", 1)
    stored = json.loads((whole / RECORD_NAME).read_text())
    assert stored["splits"] == {"train": 60, "val": 20, "test": 20}
    sizes = [path.stat().st_size for path in whole.rglob("*.png")]
    assert stored["bytes"] == sum(sizes)


def test_an_export_has_a_card_of_its_own(whole: Path) -> None:
    card = (whole / "README.md").read_text()
    assert tuple(headings_of(card)) == HEADINGS
    assert front_of(card)["viewer"] is False
    for column in rows_of(whole)[0]:
        assert f"`{column}`" in card


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_bytes(b""),
        lambda path: shutil.copy(path.with_name("000002.png"), path),
        lambda path: path.write_text("not a picture"),
        lambda path: path.unlink(),
    ],
    ids=["cut", "empty", "another", "foreign", "gone"],
)
def test_a_second_run_keeps_what_is_whole_and_mends_the_rest(
    finished: Path, exported: Path, spoil: Callable[[Path], None]
) -> None:
    before = contents(exported)
    # The time, since a file made again can be given the number of one that is gone.
    made = {path: path.stat().st_mtime_ns for path in exported.rglob("*.png")}
    spoilt = [exported / "train" / kind / "000007.png" for kind in ("images", "masks")]
    for path in spoilt:
        spoil(path)
    (exported / "val" / "masks" / ".000001.png.77.tmp").write_bytes(b"left by a kill")
    run_export(plan_export(finished, "folder", exported))
    assert contents(exported) == before
    kept = {path for path, then in made.items() if path.stat().st_mtime_ns == then}
    assert kept == set(made) - set(spoilt)


def test_a_second_writer_is_refused(finished: Path, tmp_path: Path) -> None:
    export = plan_export(finished, "folder", tmp_path)
    text = r"another process is writing to .*; wait for it or choose another --out"
    with FileLock(tmp_path / ".lock"), pytest.raises(FolderError, match=text):
        run_export(export)
    run_export(export)
    assert (tmp_path / RECORD_NAME).is_file()


def test_a_file_that_another_writer_renames_is_not_missed(
    finished: Path, exported: Path
) -> None:
    # A link that leads nowhere: there in the folder, gone when it is looked at.
    (exported / "train" / "masks" / ".000005.png.77.tmp").symlink_to("gone")
    before = estimate_export(plan_export(finished, "folder", exported)).present_bytes
    files = [path for path in exported.rglob("*") if path.is_file()]
    assert before == sum(path.stat().st_size for path in files)


def test_another_datasets_export_is_refused_finished_or_not(
    plan: Planner, exported: Path, tmp_path: Path
) -> None:
    run_build(plan(tmp_path / "other", bg=0.3))
    for unfinished in (False, True):
        if unfinished:
            (exported / RECORD_NAME).unlink()
        before = contents(exported)
        with pytest.raises(DatasetError, match=r"an export of another dataset \("):
            plan_export(tmp_path / "other", "folder", exported)
        assert contents(exported) == before


@pytest.mark.parametrize(("field", "text"), [("layout", "--layout"), ("identity", "y")])
def test_a_record_of_others_commands_no_terminal(
    field: str, text: str, finished: Path, exported: Path
) -> None:
    path = exported / ".export.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: "a\x1b[2J"}))
    with pytest.raises(DatasetError, match=rf"{text} a\\x1b\[2J[;,]"):
        plan_export(finished, "folder", exported)


def test_a_copy_without_hidden_files_is_known(finished: Path, exported: Path) -> None:
    (exported / ".export.json").unlink()
    run_export(plan_export(finished, "folder", exported))
    (exported / ".export.json").unlink()
    (exported / RECORD_NAME).write_text("garbage")
    with pytest.raises(DatasetError, match="holds files that aren't this export's"):
        plan_export(finished, "folder", exported)


@pytest.mark.parametrize(
    "name",
    ["thesis.tex", "train/images/100000.png", "train/images/7.png", "best/a.png"],
)
def test_foreign_files_are_refused(finished: Path, exported: Path, name: str) -> None:
    (exported / name).parent.mkdir(exist_ok=True)
    (exported / name).write_text("mine")
    before = contents(exported)
    with pytest.raises(DatasetError, match=f"aren't this export's: {name}; choose an"):
        plan_export(finished, "folder", exported)
    assert contents(exported) == before


def test_a_folder_of_somebody_else_is_refused(finished: Path, tmp_path: Path) -> None:
    for name in ("README.md", "b", "c", "d"):
        (tmp_path / name).write_text("mine")
    text = r"aren't this export's: README\.md, b, c and 1 more; choose an empty or new"
    with pytest.raises(DatasetError, match=text):
        plan_export(finished, "folder", tmp_path)
    with pytest.raises(DatasetError, match="holds files that aren't this export's"):
        plan_export(finished, "folder", finished)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DatasetError, match=r"file is a file; give a folder to --out"):
        plan_export(finished, "folder", tmp_path / "file")
    with pytest.raises(FolderError, match=r"can't write to .*: File name too long"):
        plan_export(finished, "folder", tmp_path / ("x" * 300))


@pytest.mark.parametrize("kind", ["nested", "pipe"])
def test_a_record_that_is_none_is_somebody_elses(
    kind: str, finished: Path, tmp_path: Path
) -> None:
    """Neither is a traceback, and no pipe is waited for."""
    if kind == "pipe":
        os.mkfifo(tmp_path / "export.json")
    else:
        (tmp_path / "export.json").write_text("[" * 100_000)
    with pytest.raises(DatasetError, match=r"aren't this export's: export\.json; "):
        plan_export(finished, "folder", tmp_path)


def test_a_folder_filled_meanwhile_is_refused(finished: Path, tmp_path: Path) -> None:
    export = plan_export(finished, "folder", tmp_path)
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetError, match=r"aren't this export's: thesis\.tex; "):
        run_export(export)
    assert contents(tmp_path) == {"thesis.tex": b"mine"}


def test_what_cant_be_written_leaves_no_record(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "train" / "images" / "000007.png").mkdir(parents=True)
    with pytest.raises(WriteError, match=r"can't write .*000007\.png: Is a directory"):
        run_export(plan_export(finished, "folder", tmp_path))
    assert not (tmp_path / RECORD_NAME).exists()
    assert not (tmp_path / "metadata.csv").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("samples.csv", r"samples\.csv is missing; run the same"),
        ("val-00000-of-00001.h5", r"val-00000-of-00001\.h5 is missing; run the same"),
        ("manifest.json", r"has no manifest\.json: it isn't a finished"),
    ],
)
def test_a_dataset_that_is_not_whole_is_refused(
    dataset: Path, tmp_path: Path, name: str, text: str
) -> None:
    (dataset / name).unlink()
    with pytest.raises(DatasetError, match=text):
        plan_export(dataset, "folder", tmp_path / "out")


def test_too_little_room_is_reported_before_the_first_byte(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = plan_export(finished, "folder", tmp_path / "out")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    text = r"needs about 284 kB more, but only 1\.00 kB are free: make room, or choose"
    with pytest.raises(DatasetError, match=text):
        run_export(export)
    assert not (tmp_path / "out").exists()


def test_an_estimate_is_near_the_truth(finished: Path, whole: Path) -> None:
    plan = estimate_export(plan_export(finished, "folder", whole.with_name("new")))
    record = read_record(whole)
    assert record is not None
    truth = sum(path.stat().st_size for path in whole.rglob("*.png"))
    assert truth <= plan.total_bytes <= truth + 100 * 1024
    assert plan.present_bytes == 0
    assert plan.seconds > 0
    there = estimate_export(plan_export(finished, "folder", whole))
    assert there.present_bytes > truth


def test_exports_lie_beside_datasets(run: Runner, dataset: Path, whole: Path) -> None:
    result = run("export", dataset, "--layout=folder", "--jobs=1")
    assert result.exit_code == 0, result.output
    assert contents(dataset.with_name("tm_folder")) == contents(whole)
    assert f"100 samples, 232 kB in {dataset}_folder, made in " in result.stdout
    assert "export: 100 of 100 samples" in result.stderr


def test_a_dry_run_writes_nothing(run: Runner, finished: Path, tmp_path: Path) -> None:
    result = run("export", finished, "--layout=folder", "--out=out", "--dry-run")
    first, *others = result.stdout.splitlines()
    assert first == "would export train 60, val 20, test 20 as folder to out"
    told = [line.split(":")[0] for line in others]
    assert told == ["size", "free on that disk", "time", "identity"]
    assert list(tmp_path.iterdir()) == []


def test_wrong_use_is_refused_once(run: Runner, finished: Path, tmp_path: Path) -> None:
    assert set(OFFERED) == set(LAYOUTS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    for words, text in (
        ((finished,), "Missing option '--layout'"),
        ((finished, "--layout=tar"), "'tar' is not one of 'folder', 'parquet'"),
        (("absent", "--layout=folder"), "no dataset folder absent"),
        ((finished, "--layout=folder", "--out=out"), "aren't this export's: mine"),
    ):
        refused(run("export", *words), text)


def test_missing_groups_are_noted(run: Runner, plan: Planner, tmp_path: Path) -> None:
    run_build(plan(tmp_path / "tm", bg=0))
    result = run("export", "tm", "--layout=folder", "--jobs=1")
    assert "note: train has no sample in 10 of its 20 groups" in result.stderr


def test_exporting_never_loads_torch(finished: Path, tmp_path: Path) -> None:
    code = """
import sys
from texturedmnist.cli import main
main(["export", *sys.argv[1:], "--layout=folder", "--jobs=1"], standalone_mode=False)
assert "torch" not in sys.modules
"""
    run_python("-c", code, finished, f"--out={tmp_path / 'out'}")


def test_each_split_has_a_table_for_imagefolder(whole: Path) -> None:
    digests = json.loads((whole / RECORD_NAME).read_text())["files"]
    head = ("file_name", "mask_file_name", "label")
    all_splits = ("img_filename", "mask_filename", "y")
    for split in ("train", "val", "test"):
        path = whole / split / "metadata.csv"
        table = pd.read_csv(path, dtype=str)
        rows = [row for row in rows_of(whole) if row["split_name"] == split]
        assert tuple(table.columns[:3]) == head
        for name, ours in zip(head, all_splits, strict=True):
            prefix = "" if name == "label" else f"{split}/"
            assert [prefix + one for one in table[name]] == [row[ours] for row in rows]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert digests[f"{split}/metadata.csv"] == digest


@pytest.mark.parametrize("shape", [(30, 30, 3), (30, 30)])
def test_only_the_whole_png_of_the_pixels_holds_them(shape: tuple[int, ...]) -> None:
    high = 256 if len(shape) == 3 else 2
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, high, shape, np.uint8)
    png = encode(pixels)
    assert holds(png, pixels)
    assert len(np.unique(pixels)) == high  # every value
    for place in range(len(png)):
        assert not holds(png[:place], pixels)
        flipped = png[:place] + bytes([png[place] ^ 1]) + png[place + 1 :]
        assert not holds(flipped, pixels)
    other = pixels.copy()
    other[3, 5] ^= 1
    assert not holds(png, other)
    assert not holds(png, pixels[:-1])
