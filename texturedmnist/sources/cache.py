"""Decoded pixels on disk: made once, checked when opened, memory-mapped after.

An entry is two files: all pixels one after another (`.raw`) and what they are
(`.json`, written last). Its name is a hash of everything the pixels depend on, so
that an entry is never out of date; entries no longer used may be deleted.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import current_process
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from texturedmnist.common.causes import is_short_of_memory
from texturedmnist.common.digest import json_digest, parse_json
from texturedmnist.common.executors import LocalProcesses, Outcome, Report, WorkerError
from texturedmnist.common.files import atomic, one_writer, write_atomically
from texturedmnist.common.progress import on_terminal
from texturedmnist.common.threads import map_in_threads
from texturedmnist.sources.errors import SourceError
from texturedmnist.sources.files import TextureFile

CACHE_VERSION = 1

Make = Callable[[], NDArray[np.uint8]]
Made = tuple[NDArray[np.uint8], str]
FEWEST_PER_PROCESS = 16  # a process takes longer to start than so many to decode
FileState: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """Where the decoded pixels of F files are.

    Attributes:
        path: the file of all pixels, one image after another.
        heights: (F,) int64, px.
        widths: (F,) int64, px.
        file_digests: sha256 (hex) of each image's pixels.
        checked: the file's state when all pixels were held against them; else empty.
    """

    path: Path
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    file_digests: tuple[str, ...]
    checked: FileState = ()


def open_cache(
    folder: Path,
    files: Sequence[TextureFile],
    *,
    check: bool,
    jobs: int,
    progress: bool,
) -> CacheEntry:
    """Open the decoded pixels of some files; make them where absent or broken.

    Safe for several processes at once: one makes the entry, the others wait. The folder
    is made if it is absent; the pixels are stored in the order of the files. The rest
    is as for `open_textures`.

    Raises:
        SourceError: a file can't be decoded, or the folder can't be written.
    """
    index = folder / f"textures-{_key(files)[:32]}.json"
    try:
        entry = _open_entry(index, files, check=check)
        if entry is not None:
            return entry
        _refuse_import()
        with one_writer(index.with_suffix(".raw")):
            # While this process waited, another may have made it.
            entry = _open_entry(index, files, check=check)
            return entry or _make_entry(index, files, jobs, progress=progress)
    except OSError as error:
        if is_short_of_memory(error):
            raise
        raise SourceError(
            f"can't keep decoded textures in {folder}: {error.strerror or error}; make "
            "room or repair it, or choose another folder (--cache-dir DIR)"
        ) from None


def produce(makes: Sequence[Make], jobs: int) -> Iterator[Made]:
    """Call each function; yield its pixels and their sha256 (hex), in order.

    The functions are picklable and return (H, W, 3) uint8. Few images are held at a
    time, however slow the consumer is; for few, fewer processes are started.

    Raises:
        SourceError: an image can't be made, or a process died.
    """
    jobs = min(jobs, len(makes) // FEWEST_PER_PROCESS)
    if jobs <= 1:
        yield from map(_make, makes)
        return
    silent = LocalProcesses(jobs).run_each(_make, makes, report=lambda _, message: None)
    with closing(silent) as outcomes:
        yield from _in_order(outcomes)


def find_damaged(
    pixels: NDArray[np.uint8], ends: NDArray[np.int64], file_digests: Sequence[str]
) -> tuple[int, ...]:
    """Return the numbers of the images whose pixels differ from their digest.

    Args:
        pixels: (P,) uint8, all images one after another.
        ends: (F,) int64, where each image ends.
        file_digests: sha256 (hex) of each image.
    """
    spans = [*zip(np.concatenate([[0], ends[:-1]]), ends, strict=True)]
    digests = map_in_threads(
        lambda span: hashlib.sha256(pixels[span[0] : span[1]].data).hexdigest(), spans
    )
    pairs = enumerate(zip(digests, file_digests, strict=True))
    return tuple(number for number, (now, then) in pairs if now != then)


def file_state(path: Path) -> FileState:
    """Return what tells a file from a changed one; empty where there is none."""
    try:
        state = path.stat()
    except OSError:
        return ()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _key(files: Sequence[TextureFile]) -> str:
    rows = [[f.class_name, f.name, f.partition, f.fingerprint] for f in files]
    return json_digest([CACHE_VERSION, rows])


def _open_entry(
    index: Path, files: Sequence[TextureFile], *, check: bool
) -> CacheEntry | None:
    """Open a sound entry, or return None."""
    if not index.exists():
        return None
    entry = _parse_entry(index, files)
    if entry is not None and check:
        state = file_state(entry.path)
        pixels = np.memmap(entry.path, dtype=np.uint8, mode="r")
        ends = np.cumsum(entry.heights * entry.widths * 3)
        if find_damaged(pixels, ends, entry.file_digests):
            return None
        return replace(entry, checked=state)
    return entry


def _parse_entry(index: Path, files: Sequence[TextureFile]) -> CacheEntry | None:
    raw = index.with_suffix(".raw")
    try:
        content = parse_json(index.read_bytes())
        images = content["images"]
        sound = (
            content["digest"] == json_digest(images)
            and [image["name"] for image in images] == [file.name for file in files]
            and content["bytes"] == raw.stat().st_size
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _entry(raw, images) if sound else None


def _make_entry(
    index: Path, files: Sequence[TextureFile], jobs: int, *, progress: bool
) -> CacheEntry:
    """Stream the pixels to a temporary file, then put both files in place."""
    if index.exists():
        message = "decoded textures in %s are damaged; making them again"
        logging.getLogger(__name__).warning(message, index)
    raw = index.with_suffix(".raw")
    with atomic(raw) as temporary, temporary.open("wb") as stream:
        images = _write_pixels(stream, files, jobs, progress=progress)
        size = stream.tell()
    content = {"images": images, "digest": json_digest(images), "bytes": size}
    write_atomically(index, json.dumps(content))
    return replace(_entry(raw, images), checked=file_state(raw))


def _write_pixels(
    stream: BinaryIO, files: Sequence[TextureFile], jobs: int, *, progress: bool
) -> list[dict[str, Any]]:
    images = []
    shown = progress and on_terminal()
    bar = tqdm(files, "decoding textures", disable=not shown)
    made = produce([file.read for file in files], jobs)
    for file, (pixels, digest) in zip(bar, made, strict=True):
        stream.write(pixels.data)
        height, width, _ = pixels.shape
        images.append(
            {"name": file.name, "height": height, "width": width, "sha256": digest}
        )
    return images


def _entry(raw: Path, images: list[dict[str, Any]]) -> CacheEntry:
    return CacheEntry(
        path=raw.resolve(),
        heights=np.array([image["height"] for image in images], np.int64),
        widths=np.array([image["width"] for image in images], np.int64),
        file_digests=tuple(image["sha256"] for image in images),
    )


def _make(make: Make, _: Report | None = None) -> Made:
    pixels = np.ascontiguousarray(make())
    return pixels, hashlib.sha256(pixels.data).hexdigest()


def _in_order(outcomes: Iterable[Outcome[Made]]) -> Iterator[Made]:
    early: dict[int, Made] = {}
    wanted = 0
    for outcome in outcomes:
        if isinstance(outcome.error, WorkerError):
            raise SourceError(f"decoding textures: {outcome.error}") from None
        if outcome.error is not None:
            raise outcome.error
        early[outcome.number] = outcome.result  # type: ignore[assignment]
        while wanted in early:
            yield early.pop(wanted)
            wanted += 1


def _refuse_import() -> None:
    """Refuse a worker that still imports the main script, which waits for it."""
    if getattr(current_process(), "_inheriting", False):
        raise SourceError(
            "this script starts processes, which import it again: put what it does "
            "under `if __name__ == '__main__':`"
        )
