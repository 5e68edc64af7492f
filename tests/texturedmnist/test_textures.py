import itertools
import os
import pickle
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.texturedmnist.tree import (
    REAL_DATA,
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
    list_classes,
    open_textures,
)
from texturedmnist.sources.files import split_files

CLASSES = ("banded", "dotted", "woven")
Open = Callable[..., TextureBank]


@pytest.fixture
def open_bank(tmp_path: Path) -> Open:
    """Open a bank with a cache and a data root of the test's own."""
    return partial(
        open_textures, min_side=32, data_root=tmp_path, cache_dir=tmp_path / "cache"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of five images."""
    write_textures(tmp_path / "mine", CLASSES, 5)
    return tmp_path / "mine"


def test_a_bank_holds_the_decoded_files(folder: Path, open_bank: Open) -> None:
    bank = open_bank(str(folder), CLASSES)
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


def test_pixels_that_are_not_here_are_fetched(folder: Path, open_bank: Open) -> None:
    """As on a node of a cluster that sees no cache."""
    bank = open_bank(str(folder), CLASSES)
    content = np.fromfile(bank.path, np.uint8)
    asked: list[Path] = []

    def fetch(path: Path) -> NDArray[np.uint8]:
        asked.append(path)
        return content

    here = pickle.loads(pickle.dumps(bank))
    here.find_pixels(fetch)
    assert asked == []
    bank.path.unlink()
    there = pickle.loads(pickle.dumps(bank))
    there.find_pixels(fetch)
    there.find_pixels(fetch)
    assert asked == [bank.path]
    for number, name in enumerate(bank.names):
        expected = np.asarray(Image.open(folder / name))
        assert np.array_equal(there.image(number), expected)
    content = content[:-1]
    with pytest.raises(
        SourceError, match=r"have \d+ bytes, not \d+; run the command ag"
    ):
        pickle.loads(pickle.dumps(bank)).find_pixels(fetch)


def test_files_are_numbered_by_partition_class_and_name(
    folder: Path, open_bank: Open
) -> None:
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


def test_only_the_classes_asked_for_are_looked_at(
    folder: Path, open_bank: Open
) -> None:
    (folder / "woven" / "broken.png").write_bytes(b"")
    bank = open_bank(str(folder), CLASSES[:2])
    assert bank.index.classes == CLASSES[:2]


def test_hidden_files_and_files_beside_the_classes_are_no_concern(
    folder: Path, open_bank: Open
) -> None:
    (folder / "banded" / ".directory").write_text("[Desktop Entry]")
    (folder / "LICENCE.txt").write_text("free")
    (folder / ".cache").mkdir()
    assert list_classes(str(folder)) == CLASSES
    assert len(open_bank(str(folder), CLASSES)) == 15


def test_the_digest_is_of_class_partition_shape_and_pixels(
    tmp_path: Path, folder: Path, open_bank: Open
) -> None:
    digest = open_bank(str(folder), CLASSES).digest
    shutil.copytree(folder, tmp_path / "copy")
    assert open_bank(str(tmp_path / "copy"), CLASSES).digest == digest
    path = next((tmp_path / "copy" / "woven").iterdir())
    pixels = np.asarray(Image.open(path)).copy()
    pixels[3, 4, 1] ^= 1
    Image.fromarray(pixels).save(path)
    assert open_bank(str(tmp_path / "copy"), CLASSES).digest != digest


def test_named_sources_have_dtds_names() -> None:
    assert list_classes("dtd") == list_classes("embedded") == DTD_CLASSES


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
    for partition in (1, 10):
        bank = open_bank("dtd", CLASSES, partition=partition)
        for number, split in enumerate(("train", "val", "test")):
            names = (base / "labels" / f"{split}{partition}.txt").read_text().split()
            chosen = np.flatnonzero(bank.partition == number)
            assert {bank.names[file] for file in chosen} == set(names)


def test_dtd_without_labels_is_split_as_a_folder(
    tmp_path: Path, open_bank: Open
) -> None:
    base = write_dtd(tmp_path, CLASSES, 12)
    bank = open_bank("dtd", CLASSES)
    assert bank.index.count.tolist() == [[8] * 3, [1] * 3, [3] * 3]
    assert bank.digest == open_bank(str(base / "images"), CLASSES).digest


@needs_real_data
def test_real_dtd_classes_are_decoded(tmp_path: Path) -> None:
    bank = open_textures(
        "dtd",
        ("banded", "cracked"),
        min_side=28,
        data_root=REAL_DATA,
        cache_dir=tmp_path,
    )
    assert bank.index.count.tolist() == [[27, 27], [3, 3], [10, 10]]
    image = Image.open(REAL_DATA / "dtd" / "dtd" / "images" / bank.names[7])
    assert np.array_equal(bank.image(7), np.asarray(image.convert("RGB")))


def test_embedded_textures_need_no_files(open_bank: Open) -> None:
    bank = open_bank("embedded", CLASSES, instances=4)
    assert set(bank.index.heights) == set(bank.index.widths) == {40}
    assert bank.index.count.tolist() == [[2] * 3, [1] * 3, [1] * 3]
    assert len({bank.image(file).tobytes() for file in range(12)}) == 12


def test_an_unknown_embedded_class_is_named(open_bank: Open) -> None:
    with pytest.raises(SourceError, match="no embedded texture class furry; known: ba"):
        open_bank("embedded", ["banded", "furry"])


def test_a_missing_dtd_is_an_error_with_the_ways_out(
    tmp_path: Path, open_bank: Open
) -> None:
    with pytest.raises(SourceError) as caught:
        open_bank("dtd", CLASSES)
    text = str(caught.value)
    assert f"DTD is not in {tmp_path / 'dtd' / 'dtd'}" in text
    for way in ("--data-root", "$TEXTUREDMNIST_DATA", "--download", "--embedded"):
        assert way in text


def test_missing_dtd_classes_are_named(tmp_path: Path, open_bank: Open) -> None:
    write_dtd(tmp_path, CLASSES)
    text = (
        r"lacks the texture classes lined, scaly \(3 others are there\); move .*fetch"
    )
    with pytest.raises(SourceError, match=text):
        open_bank("dtd", ["scaly", "lined", "woven"])


def test_missing_folder_classes_are_named(folder: Path, open_bank: Open) -> None:
    with pytest.raises(SourceError, match=r"mine lacks .* lined .*change the ties"):
        open_bank(str(folder), ["lined", "woven"])


def test_an_empty_class_is_named(folder: Path, open_bank: Open) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(SourceError, match=r"class folder .*mine/empty is empty"):
        open_bank(str(folder), ["empty", "woven"])


@pytest.mark.parametrize(("count", "text"), [(1, "1 image;"), (2, "2 images;")])
def test_a_class_needs_three_files(
    folder: Path, open_bank: Open, count: int, text: str
) -> None:
    write_textures(folder, ["few"], count)
    with pytest.raises(SourceError, match=f"'few' has {text} it needs at least 3"):
        open_bank(str(folder), ["few", "woven"])


@pytest.mark.parametrize("name", ["Thumbs.db", "README.txt", "image.jpg.part"])
def test_a_file_that_is_no_image_is_not_skipped(
    folder: Path, open_bank: Open, name: str
) -> None:
    (folder / "banded" / name).write_text("text")
    with pytest.raises(SourceError, match=f"banded/{name} is not an image .*move it"):
        open_bank(str(folder), CLASSES)


def test_a_folder_within_a_class_is_not_skipped(folder: Path, open_bank: Open) -> None:
    (folder / "banded" / "more.png").mkdir()
    with pytest.raises(SourceError, match=r"banded/more\.png is not an image"):
        open_bank(str(folder), CLASSES)


def test_a_dangling_link_is_named(folder: Path, open_bank: Open) -> None:
    (folder / "banded" / "link.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(SourceError, match=r"can't read .*banded/link\.png: No such"):
        open_bank(str(folder), CLASSES)


def test_a_texture_folder_must_be_there_and_hold_folders(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"can't open the texture folder .*/no: No s"):
        list_classes(str(tmp_path / "no"))
    (tmp_path / "file.png").touch()
    with pytest.raises(SourceError, match=r"can't open .*/file\.png: Not a directory"):
        list_classes(str(tmp_path / "file.png"))
    with pytest.raises(SourceError, match="has no sub-folders; it needs one folder"):
        list_classes(str(tmp_path))


def test_a_missing_list_of_dtd_is_named(tmp_path: Path, open_bank: Open) -> None:
    base = write_dtd(tmp_path, CLASSES, labels=True)
    (base / "labels" / "val2.txt").unlink()
    assert len(open_bank("dtd", CLASSES, partition=1)) == 9
    with pytest.raises(
        SourceError, match=r"can't read DTD's partition .*val2\.txt: No"
    ):
        open_bank("dtd", CLASSES, partition=2)


def test_a_file_in_two_of_dtds_lists_is_named(tmp_path: Path, open_bank: Open) -> None:
    base = write_dtd(tmp_path, CLASSES, labels=True)
    train, test = base / "labels" / "train1.txt", base / "labels" / "test1.txt"
    train.write_text(train.read_text() + test.read_text())
    text = r"test1\.txt lists banded/.*, which is in train too"
    with pytest.raises(SourceError, match=text):
        open_bank("dtd", CLASSES)


@pytest.mark.parametrize("side", ["the folder", "the lists"])
def test_dtds_folder_and_lists_must_agree(
    tmp_path: Path, open_bank: Open, side: str
) -> None:
    base = write_dtd(tmp_path, CLASSES, labels=True)
    image = base / "images" / "dotted" / "dotted_0001.jpg"
    if side == "the folder":
        shutil.copy(image, image.with_stem("new"))
    else:
        image.unlink()
    text = rf"differ \(.*partition 1\): dotted/\w+\.jpg is only in {side}; complete DTD"
    with pytest.raises(SourceError, match=text):
        open_bank("dtd", CLASSES)


def test_every_class_needs_a_file_in_each_of_dtds_lists(
    tmp_path: Path, open_bank: Open
) -> None:
    base = write_dtd(tmp_path, CLASSES, labels=True)
    val, test = base / "labels" / "val1.txt", base / "labels" / "test1.txt"
    test.write_text(test.read_text() + val.read_text())
    val.write_text("")
    with pytest.raises(SourceError, match=r"'banded' has no val file in .*partition 1"):
        open_bank("dtd", CLASSES)


def test_a_broken_file_stops_the_opening(folder: Path, open_bank: Open) -> None:
    (folder / "dotted" / "text.jpg").write_text("not an image")
    for jobs in (1, 2):
        with pytest.raises(SourceError, match=r"can't decode .*dotted/text\.jpg"):
            open_bank(str(folder), CLASSES, jobs=jobs)
    assert not list((folder.parent / "cache").glob("*.tmp"))
    assert not list((folder.parent / "cache").glob("*.raw"))


def total(bank: TextureBank) -> int:
    return sum(int(bank.image(file).sum()) for file in range(len(bank)))


def test_a_pickled_bank_is_small_and_maps_its_pixels_again(
    folder: Path, open_bank: Open
) -> None:
    bank = open_bank(str(folder), CLASSES)
    expected = total(bank)
    data = pickle.dumps(bank)
    assert len(data) < 6000 < bank.path.stat().st_size
    assert total(pickle.loads(data)) == expected


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_and_threads_see_the_same_pixels(
    folder: Path, open_bank: Open, method: str
) -> None:
    bank = open_bank(str(folder), CLASSES)
    expected = total(bank)
    with get_context(method).Pool(2) as pool:
        assert pool.map(total, [bank] * 4) == [expected] * 4
    with ThreadPoolExecutor(4) as threads:
        fresh = pickle.loads(pickle.dumps(bank))
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
def test_a_name_that_is_not_utf_8_is_told_before_decoding(
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


def test_a_pipe_among_the_images_is_not_waited_for(
    open_bank: Open, tmp_path: Path
) -> None:
    write_textures(tmp_path / "in", ["a"])
    os.mkfifo(tmp_path / "in" / "a" / "p.png")
    with pytest.raises(SourceError, match=r"p\.png is not an image"):
        open_bank(str(tmp_path / "in"), ["a"])


def test_twenty_thousand_classes_are_sorted_out_in_linear_time() -> None:
    names = tuple(f"class_{number:05d}" for number in range(20_000))
    count = np.ones((3, 20_000), np.int64)
    index = FileIndex(names, count, count, count[0], count[0])
    ties = tuple(names[digit::10] for digit in range(10))
    started = time.monotonic()
    _, _, owner = _assigned_numbers(ties, index.classes)
    fields = {"digit_textures": names[:10], "background_textures": ties}
    assigned = Recipe(
        bg=0, tex=0, digit_textures="x", background_textures="y", ties=fields
    )
    assert resolve_assignment(assigned, names, names).background_classes == names
    assert owner.tolist() == [number % 10 for number in range(20_000)]
    assert time.monotonic() - started < 1
