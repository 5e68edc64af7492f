"""Texture images: decoded once, memory-mapped after."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from texturedmnist.common.digest import json_digest
from texturedmnist.recipe import DTD_CLASSES
from texturedmnist.recipe.assignment import normal
from texturedmnist.sources.cache import (
    CacheEntry,
    FileState,
    file_state,
    find_damaged,
    open_cache,
)
from texturedmnist.sources.errors import SourceError, expand
from texturedmnist.sources.files import TextureFile, list_embedded
from texturedmnist.sources.folders import list_dtd, list_folder, list_subfolders


@dataclass(frozen=True, slots=True)
class FileIndex:
    """The files of one texture role.

    Files are numbered by (partition, class, name), so that those of class c in
    partition p (0 train, 1 val, 2 test) are first[p, c] ... first[p, c] + count[p, c].

    Attributes:
        classes: names, sorted; a class number is a position here.
        first: (3, C) int64.
        count: (3, C) int64, >= 1.
        heights: (F,) int64, px.
        widths: (F,) int64, px.
    """

    classes: tuple[str, ...]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TextureBank:
    """The decoded images of one texture role.

    Files are numbered by (partition, class, name). Pickled without pixels, which each
    process maps when it first needs them.

    Attributes:
        index: class names, numbers and sizes of the F files.
        class_of: (F,) int64, class numbers.
        partition: (F,) int64 in {0 train, 1 val, 2 test}.
        names: of the files, e.g. `banded/banded_0005.jpg`.
        file_digests: sha256 (hex) of each image's pixels.
        digest: sha256 (hex) over class, partition, shape and pixels of every file.
        path: the file of all pixels.
        checked: the state of that file when all of it was held against the digests.
    """

    index: FileIndex
    class_of: NDArray[np.int64]
    partition: NDArray[np.int64]
    names: tuple[str, ...]
    file_digests: tuple[str, ...]
    digest: str
    path: Path
    checked: FileState = ()

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was mapped."""
        mapped = ("_pixels", "_unchecked")
        return {k: value for k, value in self.__dict__.items() if k not in mapped}

    def image(self, file: int) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 in [0, 255]: a read-only, C-contiguous view.

        Raises:
            SourceError: the pixels aren't those that were decoded. Each process looks
                when it first takes them, unless the whole file was checked.
        """
        pixels = self._pixels[self._starts[file] : self._ends[file]]
        if file in self._unchecked:
            if hashlib.sha256(pixels.data).hexdigest() != self.file_digests[file]:
                raise SourceError(
                    f"the decoded textures {self.path} are damaged: "
                    f"{self.names[file]} isn't what was decoded; remove them, and they "
                    "are made again"
                )
            self._unchecked.discard(file)
        return pixels.reshape(self.index.heights[file], self.index.widths[file], 3)

    def find_pixels(self, fetch: Callable[[Path], NDArray[np.uint8]]) -> None:
        """Map the pixels of this machine, or take what `fetch` gives where it has none.

        It is called with `path` and returns the file's bytes, (bytes,) uint8.

        Raises:
            SourceError: what `fetch` gives is something else.
        """
        try:
            self._pixels  # noqa: B018 (mapped on first use)
        except SourceError:
            pixels = fetch(self.path)
            if len(pixels) != self._ends[-1]:
                raise SourceError(
                    f"the decoded textures {self.path} have {len(pixels)} bytes, not "
                    f"{self._ends[-1]}; run the command again to make them again"
                ) from None
            self.__dict__["_pixels"] = pixels

    def check(self) -> tuple[str, ...]:
        """Read all pixels; return the names of the files that no longer match."""
        damaged = find_damaged(self._pixels, self._ends, self.file_digests)
        return tuple(self.names[number] for number in damaged)

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        try:
            pixels = np.memmap(self.path, np.uint8, "r", shape=(int(self._ends[-1]),))
        except (OSError, ValueError) as error:
            raise SourceError(
                f"can't map the decoded textures {self.path}: {error}; open the "
                "sources again to make them again"
            ) from None
        # A plain array is sliced faster than its subclass.
        return pixels.view(np.ndarray)

    @cached_property
    def _unchecked(self) -> set[int]:
        """Files that this process has yet to hold against their digests."""
        same = self.checked and self.checked == file_state(self.path)
        return set() if same else set(range(len(self)))

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum(self.index.heights * self.index.widths * 3)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return self._ends - self.index.heights * self.index.widths * 3


def list_classes(source: str) -> tuple[str, ...]:
    """Return the sorted names of the classes that a source can have.

    Args:
        source: `dtd` or `embedded` (both: DTD's 47 names, whether or not the files are
            there), or a folder: its sub-folders.

    Raises:
        SourceError: the folder is absent or has no sub-folders.
    """
    if source in ("dtd", "embedded"):
        return DTD_CLASSES
    return list_subfolders(expand(source))


def open_textures(
    source: str,
    classes: Sequence[str],
    *,
    min_side: int,
    data_root: Path,
    cache_dir: Path,
    instances: int = 24,
    partition: int = 1,
    check: bool = False,
    jobs: int = 1,
    progress: bool = False,
) -> TextureBank:
    """Open the images of some classes; decode those that aren't in the cache.

    Args:
        source: `dtd`, `embedded` or a folder with one sub-folder per class.
        classes: the only ones that are looked at.
        min_side: least height and width in px; smaller images are scaled up once.
        data_root: where DTD is, in torchvision's layout. `~` is the home folder, here
            and in the two others.
        cache_dir: where decoded pixels are kept.
        instances: images per class of `embedded`.
        partition: 1 to 10, which of DTD's official partitions splits its files.
        check: compare all cached pixels with their digests first; damaged ones are made
            again. Their sizes are always checked.
        jobs: processes that decode. With more than one, a script must guard its main
            part by `if __name__ == "__main__"`, as spawned processes import it.
        progress: show a bar, on a terminal only.

    Raises:
        SourceError: a class or file is absent, empty or can't be decoded; or the cache
            can't be written.
    """
    names = tuple(sorted(set(map(normal, classes))))
    root, folder = expand(data_root), expand(cache_dir)
    if source == "embedded":
        files = list_embedded(names, min_side, instances)
    elif source == "dtd":
        files = list_dtd(root, names, min_side, partition)
    else:
        files = list_folder(expand(source), names, min_side)
    files.sort(key=lambda f: (f.partition, f.class_name, f.name))
    entry = open_cache(folder, files, check=check, jobs=jobs, progress=progress)
    return _assemble(names, files, entry)


def _assemble(
    names: tuple[str, ...], files: Sequence[TextureFile], entry: CacheEntry
) -> TextureBank:
    number = {name: position for position, name in enumerate(names)}
    class_of = np.array([number[file.class_name] for file in files], np.int64)
    partition = np.array([file.partition for file in files], np.int64)
    count = np.zeros((3, len(names)), np.int64)
    np.add.at(count, (partition, class_of), 1)
    first = (np.cumsum(count) - count.ravel()).reshape(count.shape)
    return TextureBank(
        index=FileIndex(names, first, count, entry.heights, entry.widths),
        class_of=class_of,
        partition=partition,
        names=tuple(file.name for file in files),
        file_digests=entry.file_digests,
        digest=_bank_digest(files, entry),
        path=entry.path,
        checked=entry.checked,
    )


def _bank_digest(files: Sequence[TextureFile], entry: CacheEntry) -> str:
    images = zip(files, entry.heights, entry.widths, entry.file_digests, strict=True)
    rows = [
        [file.class_name, file.partition, int(height), int(width), digest]
        for file, height, width, digest in images
    ]
    return json_digest(rows)
