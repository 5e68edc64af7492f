import os
import pickle
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.texturedmnist.tree import write_dtd, write_textures
from texturedmnist.sources import SourceError, TextureBank, decode, open_textures
from texturedmnist.sources.cache import produce

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


def entry_of(bank: TextureBank) -> tuple[Path, Path]:
    return bank.path, bank.path.with_suffix(".json")


def test_a_second_opening_decodes_nothing(
    folder: Path, open_bank: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_bank(str(folder), CLASSES)
    monkeypatch.delattr("texturedmnist.sources.cache.produce")
    second = open_bank(str(folder), CLASSES, check=True)
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


def truncate(raw: Path, index: Path) -> None:
    del index
    raw.write_bytes(raw.read_bytes()[:-1])


def remove_pixels(raw: Path, index: Path) -> None:
    del index
    raw.unlink()


def garble_index(raw: Path, index: Path) -> None:
    del raw
    index.write_text('{"images": [')


def empty_index(raw: Path, index: Path) -> None:
    del raw
    index.write_text("[]")


def nest_index(raw: Path, index: Path) -> None:
    del raw
    index.write_text('{"images": ' + "[" * 100_000)


def change_index(raw: Path, index: Path) -> None:
    del raw
    index.write_text(index.read_text().replace('"height": 40', '"height": 39', 1))


@pytest.mark.parametrize(
    "damage",
    [truncate, remove_pixels, garble_index, empty_index, nest_index, change_index],
)
def test_a_broken_entry_is_made_again(
    folder: Path,
    open_bank: Open,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path, Path], None],
) -> None:
    bank = open_bank(str(folder), CLASSES)
    contents = [path.read_bytes() for path in entry_of(bank)]
    damage(*entry_of(bank))
    again = open_bank(str(folder), CLASSES)
    assert "are damaged; making them again" in caplog.text
    assert [path.read_bytes() for path in entry_of(again)] == contents
    assert again.digest == bank.digest
    assert again.check() == ()


def change_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_changed_pixel_is_found_and_repaired_on_request(
    folder: Path, open_bank: Open
) -> None:
    bank = open_bank(str(folder), CLASSES)
    last, message = bank.names[-1], r"{} are damaged: {} isn't what was decoded; remove"
    change_last_byte(bank.path)
    damaged = open_bank(str(folder), CLASSES)
    assert damaged.check() == (last,)
    assert damaged.image(0).any()
    with pytest.raises(SourceError, match=message.format(bank.path, last)):
        damaged.image(len(damaged) - 1)
    assert open_bank(str(folder), CLASSES, check=True).check() == ()


@pytest.mark.parametrize("check", [True, False])
def test_a_pixel_that_changes_after_the_check_is_found_by_other_processes(
    check: bool, folder: Path, open_bank: Open
) -> None:
    open_bank(str(folder), CLASSES)
    bank = open_bank(str(folder), CLASSES, check=check)
    change_last_byte(bank.path)
    with pytest.raises(SourceError, match="isn't what was decoded"):
        pickle.loads(pickle.dumps(bank)).image(len(bank) - 1)


def test_a_cache_that_vanishes_is_an_error(folder: Path, open_bank: Open) -> None:
    bank = open_bank(str(folder), CLASSES)
    bank.path.unlink()
    with pytest.raises(SourceError, match=r"can't map the decoded textures .*\.raw"):
        bank.image(0)


def test_a_cache_folder_that_is_a_file_is_named(
    tmp_path: Path, folder: Path, open_bank: Open
) -> None:
    (tmp_path / "file").touch()
    text = r"can't keep decoded textures in .*/file/cache: Not a dir.*--cache-dir DIR"
    with pytest.raises(SourceError, match=text):
        open_bank(str(folder), CLASSES, cache_dir=tmp_path / "file" / "cache")


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, folder: Path, open_bank: Open
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(SourceError, match=r"can't keep decoded .*File too large"):
            open_bank(str(folder), CLASSES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {p.suffix for p in (tmp_path / "cache").iterdir()} <= {".lock"}
    assert open_bank(str(folder), CLASSES).check() == ()


def open_in_process(args: tuple[str, Path]) -> str:
    source, root = args
    return open_textures(
        source, CLASSES, min_side=32, data_root=root, cache_dir=root / "cache"
    ).digest


def test_two_processes_may_make_one_entry_at_once(tmp_path: Path, folder: Path) -> None:
    with get_context("spawn").Pool(2) as pool:
        digests = pool.map(open_in_process, [(str(folder), tmp_path)] * 4, 1)
    assert len(set(digests)) == 1
    assert len(list((tmp_path / "cache").glob("*.raw"))) == 1


def test_several_processes_decode_the_same(tmp_path: Path, open_bank: Open) -> None:
    write_textures(tmp_path / "many", CLASSES, 12)
    one = open_bank(str(tmp_path / "many"), CLASSES)
    two = open_bank(str(tmp_path / "many"), CLASSES, jobs=2, cache_dir=tmp_path / "2")
    assert one.digest == two.digest
    assert one.path.read_bytes() == two.path.read_bytes()


def test_a_process_that_dies_is_reported() -> None:
    makes: list[Any] = [partial(os._exit, 1)] * 40
    with pytest.raises(
        SourceError, match=r"decoding textures: a worker process .*--jobs"
    ):
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
    command = [sys.executable, str(script), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "put what it does under `if __name__ == '__main__':`" in done.stderr
