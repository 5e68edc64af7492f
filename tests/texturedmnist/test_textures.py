import itertools
import os
import pickle
import resource
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from tests.python import run_python
from tests.texturedmnist.tree import (
    REAL_DATA,
    flip,
    needs_real_data,
    write_dtd,
    write_textures,
)
from texturedmnist.plan import _assigned_numbers
from texturedmnist.recipe import DTD_CLASSES, Recipe, resolve_assignment
from texturedmnist.sources import (
    FileIndex,
    SourceError,
    TextureBank,
    decode,
    list_classes,
    open_textures,
)
from texturedmnist.sources.cache import produce
from texturedmnist.sources.files import split_files

CLASSES = ("banded", "dotted", "woven")
Open = Callable[..., TextureBank]


@pytest.fixture
def open_bank(tmp_path: Path) -> Open:
    """Open a bank with a cache and a data root of the test's own."""
    places: dict[str, Any] = {"data_root": tmp_path, "cache_dir": tmp_path / "cache"}
    return partial(open_textures, min_side=32, **places)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of five images."""
    write_textures(tmp_path / "mine", CLASSES, 5)
    return tmp_path / "mine"


@pytest.fixture
def open_mine(folder: Path, open_bank: Open) -> Open:
    """Open the bank of that folder."""
    return partial(open_bank, str(folder), CLASSES)


def test_a_bank_holds_the_decoded_files(folder: Path, open_mine: Open) -> None:
    bank = open_mine()
    assert len(bank) == 15
    assert bank.index.classes == CLASSES
    for number, name in enumerate(bank.names):
        image = bank.image(number)
        assert np.array_equal(image, np.asarray(Image.open(folder / name)))
        assert image.shape == (bank.index.heights[number], bank.index.widths[number], 3)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        assert not image.flags.writeable
    assert bank.check() == ()


def test_pixels_that_are_not_here_are_fetched(folder: Path, open_mine: Open) -> None:
    """As on a node of a cluster that sees no cache."""
    bank = open_mine()
    content = np.fromfile(bank.path, np.uint8)
    fetch = Mock(return_value=content)
    here = pickle.loads(pickle.dumps(bank))
    here.find_pixels(fetch)
    fetch.assert_not_called()
    bank.path.unlink()
    there = pickle.loads(pickle.dumps(bank))
    there.find_pixels(fetch)
    there.find_pixels(fetch)
    fetch.assert_called_once_with(bank.path)
    for number, name in enumerate(bank.names):
        expected = np.asarray(Image.open(folder / name))
        assert np.array_equal(there.image(number), expected)
    fetch.return_value = content[:-1]
    text = r"have \d+ bytes, not \d+; run the command ag"
    with pytest.raises(SourceError, match=text):
        pickle.loads(pickle.dumps(bank)).find_pixels(fetch)


def test_files_have_numbers_in_their_order(folder: Path, open_bank: Open) -> None:
    bank = open_bank(str(folder), reversed(CLASSES))
    keys = [*zip(bank.partition, bank.class_of, bank.names, strict=True)]
    assert keys == sorted(keys)
    assert bank.index.first.shape == bank.index.count.shape == (3, 3)
    for split, number in itertools.product(range(3), range(3)):
        start = bank.index.first[split, number]
        files = range(start, start + bank.index.count[split, number])
        assert set(bank.partition[files]) == {split}
        assert set(bank.class_of[files]) == {number}
        assert {bank.names[f].split("/")[0] for f in files} == {CLASSES[number]}
    assert bank.index.count.sum() == 15


def test_hidden_and_other_files_are_ignored(folder: Path, open_mine: Open) -> None:
    (folder / "banded" / ".directory").write_text("[Desktop Entry]")
    (folder / "LICENCE.txt").write_text("free")
    (folder / ".cache").mkdir()
    (folder / "another").mkdir()
    (folder / "another" / "broken.png").write_bytes(b"")
    assert list_classes(str(folder)) == ("another", *CLASSES)
    assert len(open_mine()) == 15


def test_the_digest_is_of_class_partition_shape_and_pixels(
    tmp_path: Path, folder: Path, open_bank: Open, open_mine: Open
) -> None:
    digest = open_mine().digest
    shutil.copytree(folder, tmp_path / "copy")
    assert open_bank(str(tmp_path / "copy"), CLASSES).digest == digest
    path = next((tmp_path / "copy" / "woven").iterdir())
    pixels = np.asarray(Image.open(path)).copy()
    pixels[3, 4, 1] ^= 1
    Image.fromarray(pixels).save(path)
    assert open_bank(str(tmp_path / "copy"), CLASSES).digest != digest


@pytest.mark.parametrize("count", [3, 4, 5, 11, 12, 24, 40, 120])
def test_files_are_split_8_1_3_with_one_each_at_least(count: int) -> None:
    sizes = np.bincount(split_files("banded", count), minlength=3)
    assert sizes.sum() == count
    assert sizes.min() >= 1
    assert np.abs(sizes - np.array([8, 1, 3]) * count / 12).max() <= 1.25


def test_classes_are_split_in_different_orders() -> None:
    splits = {tuple(split_files(name, 24)) for name in DTD_CLASSES}
    assert len(splits) > 40


def test_dtds_own_partition_is_used(tmp_path: Path, open_bank: Open) -> None:
    base = write_dtd(tmp_path, CLASSES, 6, labels=True)
    (base / "labels" / "val2.txt").unlink()  # of another partition
    for partition in (1, 10):
        bank = open_bank("dtd", CLASSES, partition=partition)
        for number, split in enumerate(("train", "val", "test")):
            names = (base / "labels" / f"{split}{partition}.txt").read_text().split()
            chosen = np.flatnonzero(bank.partition == number)
            assert {bank.names[file] for file in chosen} == set(names)


def test_dtd_without_lists_is_cut_as_a_folder(tmp_path: Path, open_bank: Open) -> None:
    base = write_dtd(tmp_path, CLASSES, 12)
    bank = open_bank("dtd", CLASSES)
    assert bank.index.count.tolist() == [[8] * 3, [1] * 3, [3] * 3]
    assert bank.digest == open_bank(str(base / "images"), CLASSES).digest


@needs_real_data
def test_real_dtd_classes_are_decoded(open_bank: Open) -> None:
    bank = open_bank("dtd", ("banded", "cracked"), data_root=REAL_DATA)
    assert bank.index.count.tolist() == [[27, 27], [3, 3], [10, 10]]
    image = Image.open(REAL_DATA / "dtd" / "dtd" / "images" / bank.names[7])
    assert np.array_equal(bank.image(7), np.asarray(image.convert("RGB")))


def test_embedded_textures_need_no_files(open_bank: Open) -> None:
    assert list_classes("dtd") == list_classes("embedded") == DTD_CLASSES
    with pytest.raises(SourceError, match="no embedded texture class furry; known: ba"):
        open_bank("embedded", ["banded", "furry"])
    bank = open_bank("embedded", CLASSES, instances=4)
    assert set(bank.index.heights) == set(bank.index.widths) == {40}
    assert bank.index.count.tolist() == [[2] * 3, [1] * 3, [1] * 3]
    assert len({bank.image(file).tobytes() for file in range(12)}) == 12


def test_missing_dtd_classes_are_named(tmp_path: Path, open_bank: Open) -> None:
    write_dtd(tmp_path, CLASSES)
    text = r"lacks the texture classes lined, scaly \(3 others are there\); move .*fe"
    with pytest.raises(SourceError, match=text):
        open_bank("dtd", ["scaly", "lined", "woven"])


def test_a_texture_folder_must_be_there_and_hold_folders(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"can't open the texture folder .*/no: No s"):
        list_classes(str(tmp_path / "no"))
    (tmp_path / "file.png").touch()
    with pytest.raises(SourceError, match=r"can't open .*/file\.png: Not a directory"):
        list_classes(str(tmp_path / "file.png"))
    with pytest.raises(SourceError, match="has no sub-folders; it needs one folder"):
        list_classes(str(tmp_path))


# What is put in a folder, what it is, and what is said of its class.
FOLDERS = [
    ("lined", "nothing", "mine lacks .* lined .*change the ties"),
    ("no", "folder", "class folder .*mine/no is empty"),
    ("few/a.png", "image", "'few' has 1 image; it needs at least 3"),
    ("few/a.png few/b.png", "image", "'few' has 2 images; it needs at least 3"),
    ("woven/Thumbs.db", "text", "woven/Thumbs.db is not an image .*move it"),
    ("woven/README.txt", "text", "woven/README.txt is not an image .*move it"),
    ("woven/a.jpg.part", "text", "woven/a.jpg.part is not an image .*move it"),
    ("woven/more.png", "folder", r"woven/more\.png is not an image"),
    ("woven/pipe.png", "pipe", r"pipe\.png is not an image"),  # is not waited for
    ("woven/link.png", "link", r"can't read .*woven/link\.png: No such"),
    ("woven/text.jpg", "text", r"can't decode .*woven/text\.jpg"),
]


PUT: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "link": lambda path: path.symlink_to("nowhere"),
    "image": Image.new("RGB", (40, 36)).save,
    "text": lambda path: path.write_text("text"),
}


@pytest.mark.parametrize(("names", "kind", "text"), FOLDERS)
def test_what_is_wrong_with_a_folder_is_named(
    folder: Path, open_bank: Open, names: str, kind: str, text: str
) -> None:
    for name in names.split():
        (folder / name).parent.mkdir(exist_ok=True)
        PUT[kind](folder / name)
    with pytest.raises(SourceError, match=text):
        open_bank(str(folder), ["dotted", names.split("/")[0]])
    assert not [*folder.parent.glob("cache/*.tmp"), *folder.parent.glob("cache/*.raw")]


DTDS = {
    "no list": r"can't read DTD's partition .*test1\.txt: No",
    "twice": r"test1\.txt lists banded/.*, which is in train too",
    "no val": r"'banded' has no val file in .*partition 1",
    "no file": r"differ \(.*1\): dotted/\w+\.jpg is only in the lists; complete DTD",
    "one more": r"differ \(.*1\): dotted/\w+\.jpg is only in the folder; complete DTD",
}


@pytest.mark.parametrize("what", DTDS)
def test_dtds_files_and_lists_agree(tmp_path: Path, open_bank: Open, what: str) -> None:
    base = write_dtd(tmp_path, CLASSES, labels=True)
    image = base / "images" / "dotted" / "dotted_0001.jpg"
    train, val, test = (base / "labels" / f"{n}1.txt" for n in ("train", "val", "test"))
    if what == "no list":
        test.unlink()
    elif what == "twice":
        train.write_text(train.read_text() + test.read_text())
    elif what == "no val":
        train.write_text(train.read_text() + val.read_text())
        val.write_text("")
    elif what == "no file":
        image.unlink()
    else:
        shutil.copy(image, image.with_stem("new"))
    with pytest.raises(SourceError, match=DTDS[what]):
        open_bank("dtd", CLASSES)


def total(bank: TextureBank) -> int:
    return sum(int(bank.image(file).sum()) for file in range(len(bank)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_and_threads_see_equal_pixels(open_mine: Open, method: str) -> None:
    bank = open_mine()
    expected = total(bank)
    data = pickle.dumps(bank)
    assert len(data) < 6000 < bank.path.stat().st_size
    with get_context(method).Pool(2) as pool:
        assert pool.map(total, [bank] * 4) == [expected] * 4
    with ThreadPoolExecutor(4) as threads:
        fresh = pickle.loads(data)  # maps its pixels again
        assert list(threads.map(total, [fresh] * 8)) == [expected] * 8


def test_names_are_the_same_however_a_disk_keeps_them(
    open_bank: Open, tmp_path: Path
) -> None:
    """A Mac's disk keeps é as two characters, a user types it as one."""
    composed, apart = "caf\u00e9", "cafe\u0301"
    banks = []
    for name in (composed, apart):
        write_textures(tmp_path / f"{len(name)}", [name], 4)
        source = str(tmp_path / f"{len(name)}")
        assert list_classes(source) == (composed,)
        for given in (composed, apart):
            banks.append(open_bank(source, [given]))
    assert len({bank.digest for bank in banks}) == 1
    names = [f"{composed}/{composed}_{number:04d}.png" for number in range(4)]
    assert all(sorted(bank.names) == names for bank in banks)
    write_textures(tmp_path / "both", [composed, apart])
    with pytest.raises(SourceError, match="have the same name, written in two ways"):
        list_classes(str(tmp_path / "both"))


@pytest.mark.parametrize("place", ["a/b\udcff.png", "c\udcff/b.png"])
def test_a_name_that_is_not_utf_8_is_reported_before_decoding(
    open_bank: Open, tmp_path: Path, place: str
) -> None:
    write_textures(tmp_path / "in", ["a"])
    odd = tmp_path / "in" / place
    odd.parent.mkdir(exist_ok=True)
    shutil.copy(tmp_path / "in" / "a" / "a_0000.png", odd)
    with pytest.raises(SourceError, match=r"the name of '.*udcff.*' is not UTF-8") as e:
        open_bank(str(tmp_path / "in"), ["a"])
    str(e.value).encode()
    assert not (tmp_path / "cache").exists()


def test_twenty_thousand_classes_are_sorted_out_in_linear_time() -> None:
    names = tuple(f"class_{number:05d}" for number in range(20_000))
    count = np.ones((3, 20_000), np.int64)
    index = FileIndex(names, count, count, count[0], count[0])
    assignment = tuple(names[digit::10] for digit in range(10))
    started = time.monotonic()
    _, _, owner = _assigned_numbers(assignment, index.classes)
    fields = {"digit_textures": names[:10], "background_textures": assignment}
    assigned = Recipe(
        bg=0, tex=0, digit_textures="x", background_textures="y", ties=fields
    )
    assert resolve_assignment(assigned, names, names).background_classes == names
    assert owner.tolist() == [number % 10 for number in range(20_000)]
    assert time.monotonic() - started < 1


def test_a_second_opening_decodes_nothing(
    open_mine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_mine()
    monkeypatch.delattr("texturedmnist.sources.cache.produce")
    second = open_mine(check=True)
    assert second.digest == first.digest
    assert np.array_equal(second.image(7), first.image(7))


def test_another_size_partition_or_content_is_another_entry(
    tmp_path: Path, open_bank: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write_dtd(tmp_path, CLASSES, labels=True)
    paths = {open_bank("dtd", CLASSES).path, open_bank("dtd", CLASSES).path}
    assert len(paths) == 1
    paths.add(open_bank("dtd", CLASSES, min_side=48).path)
    paths.add(open_bank("dtd", CLASSES, partition=2).path)
    paths.add(open_bank("dtd", CLASSES[:2]).path)
    image = base / "images" / "woven" / "woven_0000.jpg"
    shutil.copy(base / "images" / "woven" / "woven_0001.jpg", image)
    paths.add(open_bank("dtd", CLASSES).path)
    monkeypatch.setattr(decode, "DECODER_VERSION", 0)
    paths.add(open_bank("dtd", CLASSES).path)
    paths.add(open_bank("embedded", CLASSES).path)
    paths.add(open_bank("embedded", CLASSES, instances=3).path)
    assert len(paths) == 8


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "cut pixels": lambda raw, index: raw.write_bytes(raw.read_bytes()[:-1]),
    "no pixels": lambda raw, index: raw.unlink(),
    "garbled": lambda raw, index: index.write_text('{"images": ['),
    "empty": lambda raw, index: index.write_text("[]"),
    "nested": lambda raw, index: index.write_text('{"images": ' + "[" * 100_000),
    "another": lambda raw, index: index.write_text(
        index.read_text().replace('"height": 40', '"height": 39', 1)
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_broken_entry_is_made_again(
    open_mine: Open,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path, Path], None],
) -> None:
    bank = open_mine()
    entry = bank.path, bank.path.with_suffix(".json")
    contents = [path.read_bytes() for path in entry]
    damage(*entry)
    again = open_mine()
    assert "are damaged; making them again" in caplog.text
    assert again.path == bank.path
    assert [path.read_bytes() for path in entry] == contents
    assert again.digest == bank.digest
    assert again.check() == ()


def test_a_changed_pixel_is_found_and_repaired(open_mine: Open) -> None:
    bank = open_mine()
    last, message = bank.names[-1], r"{} are damaged: {} isn't what was decoded; remove"
    flip(bank.path)
    damaged = open_mine()
    assert damaged.check() == (last,)
    assert damaged.image(0).any()
    with pytest.raises(SourceError, match=message.format(bank.path, last)):
        damaged.image(len(damaged) - 1)
    assert open_mine(check=True).check() == ()


@pytest.mark.parametrize("check", [True, False])
def test_a_pixel_that_changes_after_the_check_is_found_by_other_processes(
    check: bool, open_mine: Open
) -> None:
    open_mine()
    bank = open_mine(check=check)
    flip(bank.path)
    with pytest.raises(SourceError, match="isn't what was decoded"):
        pickle.loads(pickle.dumps(bank)).image(len(bank) - 1)


def test_a_cache_that_vanishes_is_an_error(open_mine: Open) -> None:
    bank = open_mine()
    bank.path.unlink()
    with pytest.raises(SourceError, match=r"can't map the decoded textures .*\.raw"):
        bank.image(0)


def test_a_file_in_place_of_the_cache_is_named(tmp_path: Path, open_mine: Open) -> None:
    (tmp_path / "file").touch()
    text = r"can't keep decoded textures in .*/file/cache: Not a dir.*--cache-dir DIR"
    with pytest.raises(SourceError, match=text):
        open_mine(cache_dir=tmp_path / "file" / "cache")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, open_mine: Open) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(SourceError, match=r"can't keep decoded .*File too large"):
            open_mine()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {p.suffix for p in (tmp_path / "cache").iterdir()} <= {".lock"}
    assert open_mine().check() == ()


def test_processes_may_make_one_entry_at_once(
    tmp_path: Path, folder: Path, open_bank: Open
) -> None:
    with get_context("spawn").Pool(2) as pool:
        banks = pool.starmap(open_bank, [(str(folder), CLASSES)] * 4, 1)
    assert len({bank.digest for bank in banks}) == 1
    assert len(list((tmp_path / "cache").glob("*.raw"))) == 1
    write_textures(tmp_path / "many", CLASSES, 12)
    one = open_bank(str(tmp_path / "many"), CLASSES)
    two = open_bank(str(tmp_path / "many"), CLASSES, jobs=2, cache_dir=tmp_path / "2")
    assert one.digest == two.digest
    assert one.path.read_bytes() == two.path.read_bytes()


def test_a_process_that_dies_is_reported() -> None:
    makes: list[Any] = [partial(os._exit, 1)] * 40
    text = "decoding textures: a worker process .*--jobs"
    with pytest.raises(SourceError, match=text):
        list(produce(makes, 2))


def test_a_script_without_a_guard_ends_with_a_message(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from texturedmnist.sources import open_textures\n"
        "open_textures('embedded', ['lined'], min_side=28, data_root=Path('data'),\n"
        "    cache_dir=Path(sys.argv[1]), instances=40, jobs=2)\n"
    )
    done = run_python(script, tmp_path / "cache", code=1)
    assert "put what it does under `if __name__ == '__main__':`" in done.stderr
