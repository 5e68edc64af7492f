"""Folders with one sub-folder of images per class, DTD's among them."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from texturedmnist.common.digest import file_digest
from texturedmnist.common.threads import map_in_threads
from texturedmnist.recipe.assignment import normal
from texturedmnist.sources.decode import decode_image, decoder_version
from texturedmnist.sources.errors import WAYS_OUT, SourceError
from texturedmnist.sources.files import PARTITIONS, TextureFile, split_files

IMAGE_SUFFIXES = (
    *(".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg"),
    *(".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)


def dtd_folder(data_root: Path) -> Path:
    """Return the folder of DTD's `images` and `labels`: torchvision's layout."""
    return data_root / "dtd" / "dtd"


def list_subfolders(folder: Path) -> tuple[str, ...]:
    """Return the sorted names of the class folders; hidden ones don't count.

    Names are in Unicode's normal form C, however the disk keeps them. Files beside the
    folders (a license, a README) are no concern of ours.

    Raises:
        SourceError: the folder can't be opened or has no sub-folder.
    """
    names = tuple(_class_folders(folder))
    if not names:
        raise SourceError(
            f"the texture folder {folder} has no sub-folders; it needs one folder of "
            "images per class"
        )
    return names


def list_dtd(
    data_root: Path, classes: Sequence[str], min_side: int, dtd_partition: int
) -> list[TextureFile]:
    """List the images of some of DTD's classes.

    Args:
        data_root: where DTD is, in torchvision's layout.
        classes: the only ones that are looked at.
        min_side: least height and width of an image once decoded, px.
        dtd_partition: 1 to 10, which of the official partitions splits the files; with
            no `labels` folder beside `images` they are split as any folder's.

    Raises:
        SourceError: DTD, a class or a file is absent or can't be used.
    """
    base = dtd_folder(data_root)
    if not (base / "images").is_dir():
        raise SourceError(
            f"DTD is not in {base}: there is no images folder; {WAYS_OUT}"
        )
    advice = (
        f"move {base.parent} away and fetch all of DTD (--download), say where it is "
        "(--data-root DIR or $TEXTUREDMNIST_DATA), or use --textures embedded"
    )
    paths = _list_classes(base / "images", classes, advice)
    if not (base / "labels").is_dir():
        return _as_files(paths, _split(paths), min_side)
    listed = _read_labels(base / "labels", dtd_partition)
    return _as_files(paths, _apply_labels(paths, listed, base, dtd_partition), min_side)


def list_folder(
    folder: Path, classes: Sequence[str], min_side: int
) -> list[TextureFile]:
    """List the images of some classes of a folder, split 8 : 1 : 3.

    Raises:
        SourceError: a class is absent, too small, or holds something else.
    """
    paths = _list_classes(folder, classes, "add the folders, or change the ties")
    return _as_files(paths, _split(paths), min_side)


def _list_classes(
    folder: Path, classes: Sequence[str], advice: str
) -> dict[str, list[Path]]:
    """Return the image paths of each class, sorted by their names in form C."""
    folders = _class_folders(folder)
    absent = sorted(name for name in classes if name not in folders)
    if absent:
        raise SourceError(
            f"{folder} lacks the texture classes {', '.join(absent)} "
            f"({len(folders)} others are there); {advice}"
        )
    return {name: _list_images(folders[name]) for name in sorted(classes)}


def _class_folders(folder: Path) -> dict[str, Path]:
    """Return the class folders by their names in form C, sorted."""
    try:
        visible = (path for path in folder.iterdir() if path.name[0] != ".")
        return _by_name(path for path in visible if path.is_dir())
    except SourceError:
        raise
    except (OSError, ValueError) as error:
        raise SourceError(
            f"can't open the texture folder {folder}: "
            f"{getattr(error, 'strerror', None) or error}; give a folder with one "
            "sub-folder of images per class, or dtd, or embedded"
        ) from None


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """Sort paths by their names in form C: a Mac's disks keep `é` as two characters."""
    found: dict[str, Path] = {}
    for path in paths:
        try:
            path.name.encode()  # what a disk holds may be any bytes
        except UnicodeEncodeError:
            raise SourceError(
                f"the name of {str(path)!a} is not UTF-8: rename it, since datasets "
                "hold the names of their textures"
            ) from None
        name = normal(path.name)
        if name in found:
            raise SourceError(
                f"{str(found[name])!a} and {str(path)!a} have the same name, written "
                "in two ways: rename one"
            )
        found[name] = path
    return dict(sorted(found.items()))


def _list_images(folder: Path) -> list[Path]:
    """Return the sorted files of a class; whatever isn't an image is an error."""
    try:
        visible = [path for path in folder.iterdir() if path.name[0] != "."]
    except OSError as error:
        raise SourceError(f"can't read {folder}: {error.strerror}") from None
    paths = list(_by_name(visible).values())
    for path in paths:
        # A pipe would be waited for without an end; a broken link is told when read.
        special = path.exists() and not path.is_file()
        if path.suffix.lower() not in IMAGE_SUFFIXES or special:
            raise SourceError(
                f"{path} is not an image ({' '.join(IMAGE_SUFFIXES)}), and nothing is "
                "skipped: move it away"
            )
    if not paths:
        raise SourceError(
            f"the texture class folder {folder} is empty: add at least 3 images, or "
            "leave the class out of the ties"
        )
    return paths


def _split(paths: dict[str, list[Path]]) -> dict[Path, int]:
    return {
        path: int(number)
        for name, files in paths.items()
        for path, number in zip(files, split_files(name, len(files)), strict=True)
    }


def _read_labels(labels: Path, dtd_partition: int) -> dict[str, int]:
    """Return the partition number of each `class/file` of an official partition."""
    listed: dict[str, int] = {}
    for number, split in enumerate(PARTITIONS):
        path = labels / f"{split}{dtd_partition}.txt"
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise SourceError(
                f"can't read DTD's partition {path}: {error.strerror}; complete the "
                "labels folder, or remove it to split the files 8 : 1 : 3"
            ) from None
        for name in filter(None, map(str.strip, lines)):
            if listed.setdefault(name, number) != number:
                raise SourceError(
                    f"{path} lists {name}, which is in {PARTITIONS[listed[name]]} too: "
                    "no file may be in two splits"
                )
    return listed


def _apply_labels(
    paths: dict[str, list[Path]], listed: dict[str, int], base: Path, dtd_partition: int
) -> dict[Path, int]:
    """Look up each file's partition; files and lists must agree."""
    where = f"{base / 'labels'}, partition {dtd_partition}"
    for name, files in paths.items():
        there = {f"{name}/{path.name}" for path in files}
        expected = {entry for entry in listed if entry.startswith(f"{name}/")}
        if there != expected:
            odd = min(there ^ expected)
            raise SourceError(
                f"{base / 'images'} and its lists differ ({where}): {odd} is only in "
                f"{'the folder' if odd in there else 'the lists'}; complete DTD, or "
                "remove the labels folder to split the files 8 : 1 : 3"
            )
        missing = set(range(3)) - {listed[entry] for entry in expected}
        if missing:
            raise SourceError(
                f"texture class {name!r} has no {PARTITIONS[min(missing)]} file in "
                f"{where}; complete the lists, or leave the class out of the ties"
            )
    return {
        path: listed[f"{name}/{path.name}"]
        for name, files in paths.items()
        for path in files
    }


def _as_files(
    paths: dict[str, list[Path]], partition: dict[Path, int], min_side: int
) -> list[TextureFile]:
    ordered = [path for files in paths.values() for path in files]
    version = {
        suffix: decoder_version(suffix)
        for suffix in {path.suffix.lower() for path in ordered}
    }
    digests = map_in_threads(_content_digest, ordered)
    return [
        TextureFile(
            class_name=normal(path.parent.name),
            name=normal(f"{path.parent.name}/{path.name}"),
            partition=partition[path],
            read=partial(decode_image, path, min_side),
            fingerprint=f"{digest} {min_side} {version[path.suffix.lower()]}",
        )
        for path, digest in zip(ordered, digests, strict=True)
    ]


def _content_digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise SourceError(f"can't read {path}: {error.strerror}") from None
