"""The embedded textures as a source of images."""

import hashlib
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from texturedmnist.sources import procedural
from texturedmnist.sources.errors import SourceError
from texturedmnist.sources.files import TextureFile, split_files


def list_embedded(
    classes: Sequence[str], min_side: int, instances: int
) -> list[TextureFile]:
    """List the embedded images of some classes.

    Args:
        classes: among the 47 names.
        min_side: they are a quarter larger than this (px), so that crops differ.
        instances: images per class.

    Raises:
        SourceError: a class is unknown, or `instances` is below 3.
    """
    unknown = sorted(set(classes) - set(procedural.CLASSES))
    if unknown:
        raise SourceError(
            f"no embedded texture class {', '.join(unknown)}; "
            f"known: {', '.join(procedural.CLASSES)}"
        )
    size = min_side + min_side // 4
    return [
        TextureFile(
            class_name=name,
            name=f"{name}/{instance:05d}",
            partition=int(split),
            read=partial(procedural.render_texture, name, instance, size),
            fingerprint=f"{_code_digest()} {size}",
        )
        for name in classes
        for instance, split in enumerate(split_files(name, instances))
    ]


@cache
def _code_digest() -> str:
    """Return the sha256 (hex) of the code that paints the embedded textures.

    It can't be forgotten as a version number can.
    """
    place = Path(procedural.__file__)
    parts = sorted(place.parent.rglob("*.py")) if place.stem == "__init__" else [place]
    return hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()
