import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from tests.faults.commands import contents
from tests.texturedmnist.conftest import Planner, Runner, refused
from tests.texturedmnist.test_card import HEADINGS, front_of, headings_of
from tests.texturedmnist.test_export import stored
from tests.texturedmnist.tree import flip
from texturedmnist.common.files import WriteError
from texturedmnist.generate import run_build
from texturedmnist.interop.errors import MissingPackageError
from texturedmnist.interop.export import RECORD_NAME, plan_export, run_export
from texturedmnist.manifest import DatasetError, read_manifest
from texturedmnist.shards import read_columns

SPLITS = {"train": "train", "val": "validation", "test": "test"}
COLUMNS = (
    *("label", "background_texture", "digit_texture"),
    *("background_aligned", "digit_aligned", "index"),
)
TRAIN = "data/train-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def whole(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished export of Parquet files: leave it as it is."""
    pytest.importorskip("pyarrow")
    out = tmp_path_factory.mktemp("export") / "out"
    run_export(plan_export(finished, "parquet", out))
    return out


def test_the_files_are_named_as_datasets_names_splits(whole: Path) -> None:
    names = {f"data/{name}-00000-of-00001.parquet" for name in SPLITS.values()}
    files = {name: data for name, data in contents(whole).items() if name[:4] == "data"}
    assert files.keys() == names
    digests = {name: sha256(data).hexdigest() for name, data in files.items()}
    assert json.loads((whole / RECORD_NAME).read_text())["files"] == digests
    card = (whole / "README.md").read_text()
    assert tuple(headings_of(card)) == HEADINGS
    (config,) = front_of(card)["configs"]
    assert {one["split"]: one["path"] for one in config["data_files"]} == {
        name: f"data/{name}-*.parquet" for name in SPLITS.values()
    }


def check_split(split: object, finished: Path, name: str) -> None:
    """Compare a split as `datasets` loaded it with the stored one."""
    manifest = read_manifest(finished)
    rows = list(split)  # type: ignore[call-overload]
    columns = read_columns(finished, manifest, name, COLUMNS)
    pairs = list(stored(finished, name))
    assert len(rows) == len(pairs)
    for number, (row, (image, mask)) in enumerate(zip(rows, pairs, strict=True)):
        assert np.array_equal(np.asarray(row["image"]), image)
        assert np.array_equal(np.asarray(row["mask"]), mask)
        assert all(row[column] == columns[column][number] for column in COLUMNS)


def test_datasets_loads_the_export(finished: Path, whole: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    from texturedmnist.interop.export.parquet import make_schema

    files = {name: str(whole / f"data/{name}-*.parquet") for name in SPLITS.values()}
    by_files = datasets.load_dataset(
        "parquet", data_files=files, cache_dir=str(tmp_path / "one")
    )
    by_folder = datasets.load_dataset(str(whole), cache_dir=str(tmp_path / "two"))
    notes = json.loads(make_schema(read_manifest(finished)).metadata[b"huggingface"])
    features = datasets.Features.from_dict(notes["info"]["features"])
    for loaded in (by_files, by_folder):
        assert set(loaded) == set(SPLITS.values())
        assert loaded["train"].features == features  # see test_huggingface
        for ours, theirs in SPLITS.items():
            check_split(loaded[theirs], finished, ours)


def test_jobs_or_cut_change_no_byte(plan: Planner, whole: Path, tmp_path: Path) -> None:
    run_build(plan(tmp_path / "tm", 7, "gzip"))
    run_export(plan_export(tmp_path / "tm", "parquet", tmp_path / "out"), jobs=2)
    assert contents(tmp_path / "out") == contents(whole)


def test_row_groups_hold_few_samples_files_more(plan: Planner, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run_build(plan(tmp_path / "tm", train=450))
    export = plan_export(tmp_path / "tm", "parquet", tmp_path / "out")
    run_export(replace(export, part_samples=220))
    files = sorted((tmp_path / "out" / "data").glob("train-*"))
    names = [f"train-0000{k}-of-00003.parquet" for k in range(3)]
    assert [path.name for path in files] == names
    opened = [parquet.ParquetFile(path) for path in files]
    sizes = [
        [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
        for file in opened
    ]
    assert sizes == [[100, 100, 20], [100, 100, 20], [10]]
    indices = [i for file in opened for i in file.read(["index"])["index"].to_pylist()]
    assert indices == list(range(450))


def regroup(path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(parquet.read_table(path), path, row_group_size=7)


def relabel(path: Path) -> None:
    arrow, parquet = map(pytest.importorskip, ("pyarrow", "pyarrow.parquet"))
    table = parquet.read_table(path)
    place = table.column_names.index("label")
    labels = arrow.array([9 - value for value in table["label"].to_pylist()])
    parquet.write_table(table.set_column(place, table.field(place), labels), path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: flip(path, path.stat().st_size // 2),
        lambda path: shutil.copy(path.with_name("test-00000-of-00001.parquet"), path),
        regroup,
        relabel,
        lambda path: path.unlink(),
    ],
    ids=["cut", "flip", "swap", "regroup", "relabel", "gone"],
)
def test_a_second_run_keeps_what_is_whole_and_mends_the_rest(
    finished: Path, exported: Path, spoil: Callable[[Path], None]
) -> None:
    before = contents(exported)
    times = {path: path.stat().st_mtime_ns for path in exported.rglob("*.parquet")}
    spoil(exported / TRAIN)
    (exported / RECORD_NAME).unlink()
    (exported / "data" / ".train.77.tmp").write_bytes(b"left by a kill")
    run_export(plan_export(finished, "parquet", exported))
    assert contents(exported) == before
    kept = {
        path for path, written in times.items() if path.stat().st_mtime_ns == written
    }
    assert kept == set(times) - {exported / TRAIN}


def test_another_layout_is_refused(finished: Path, exported: Path) -> None:
    with pytest.raises(DatasetError, match=r"an export with --layout parquet; choose"):
        plan_export(finished, "folder", exported)


def test_files_of_another_cut_are_refused(finished: Path, exported: Path) -> None:
    name = "data/train-00000-of-00002.parquet"  # a reader would take both for train
    shutil.copy(exported / TRAIN, exported / name)
    with pytest.raises(DatasetError, match=f"aren't this export's: {name}; choose"):
        plan_export(finished, "parquet", exported)


def test_a_file_that_cannot_be_written_is_named(finished: Path, exported: Path) -> None:
    (exported / TRAIN).unlink()
    (exported / TRAIN).mkdir()
    with pytest.raises(WriteError, match=r"can't write .*train-00000-of-00001\.parqu"):
        run_export(plan_export(finished, "parquet", exported))


def test_without_pyarrow_the_pip_line_is_reported(
    run: Runner, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "texturedmnist.interop.export.parquet"
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match="pip install pyarrow"):
        plan_export(finished, "parquet", Path("out"))
    result = run("export", finished, "--layout=parquet", "--out=out")
    refused(result, "pip install pyarrow")
    assert not Path("out").exists()
