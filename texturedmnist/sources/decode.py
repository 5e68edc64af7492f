"""One image file to 8-bit RGB pixels."""

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    GifImagePlugin,
    Image,
    ImageFile,
    ImageOps,
    UnidentifiedImageError,
    features,
)

from texturedmnist.sources.errors import SourceError

DECODER_VERSION = 1  # raised whenever the same file would give other pixels
MAX_PIXELS = 100_000_000  # 300 MB decoded; far above any photograph
MAX_BYTES = 1_000_000_000  # of a file: MAX_PIXELS of 4 x 16 bits, not compressed
# What a program may set in Pillow for its own images, and its value while ours are
# decoded. The number of pixels is checked here.
PILLOW_STATE: tuple[tuple[Any, str, Any], ...] = (
    (ImageFile, "LOAD_TRUNCATED_IMAGES", False),
    (Image, "MAX_IMAGE_PIXELS", None),
    (
        GifImagePlugin,
        "LOADING_STRATEGY",
        GifImagePlugin.LoadingStrategy.RGB_AFTER_FIRST,
    ),
)
# Codecs of few formats, by file name: others' pixels don't depend on them.
RARE_CODECS = {".avif": "avif", ".j2k": "jpg_2000", ".jp2": "jpg_2000"}
_pillow = threading.RLock()
# What Pillow's readers raise on broken files.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)


def decoder_version(suffix: str = "") -> str:
    """Name all that decoded pixels depend on but the file, by its suffix, as `.png`."""
    codecs = ["jpg", "libjpeg_turbo", "webp", "libtiff"]
    codecs += [RARE_CODECS[suffix]] if suffix in RARE_CODECS else []
    versions = ", ".join(f"{name} {features.version(name)}" for name in codecs)
    return f"decoder {DECODER_VERSION}, pillow {features.version('pil')}, {versions}"


def decode_image(path: Path, min_side: int) -> NDArray[np.uint8]:
    """Decode an image file, turned upright as its EXIF data say.

    16-bit gray is scaled to 8 bits (rounded), transparency is laid over white, of
    several frames the first is taken. An image with a side under `min_side` is scaled
    up once, bicubically, so that its smaller side is `min_side`.

    Args:
        path: any format that Pillow reads.
        min_side: least height and width of the result in px.

    Returns:
        (H, W, 3) uint8 in [0, 255], C-contiguous.

    Raises:
        SourceError: the file can't be read or decoded, or is too large.
    """
    data = _read(path)
    if not data:
        raise SourceError(f"{path} is empty: replace it by an image, or remove it")
    try:
        image = _decode(data, path, min_side)
    except SourceError:
        raise
    except DECODE_ERRORS as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "it is in no known image format" if unknown else error
        raise SourceError(
            f"can't decode {path}: {reason}; replace it by a sound image, or remove it"
        ) from None
    return np.ascontiguousarray(image)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"can't read {path}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise SourceError(
            f"{path} is too large: over {MAX_BYTES / 1e9:g} GB; crop it, or remove it"
        )
    return data


@contextmanager
def pillow_as_shipped() -> Iterator[None]:
    """Let Pillow decode as it does by default, whatever the program has set.

    A half file must not pass for a whole one, least of all into a cache.
    """
    with _pillow:
        before = [getattr(place, name) for place, name, _ in PILLOW_STATE]
        try:
            for place, name, value in PILLOW_STATE:
                setattr(place, name, value)
            yield
        finally:
            for (place, name, _), value in zip(PILLOW_STATE, before, strict=True):
                setattr(place, name, value)


def _decode(data: bytes, path: Path, min_side: int) -> Image.Image:
    with pillow_as_shipped(), warnings.catch_warnings():
        # Pillow warns of large images, fine up to the limit checked here, and of
        # damaged metadata; damaged pixels raise.
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as image:
            _check_size(path, image.size, min_side)
            image.load()
            return _scale_up(_to_rgb(ImageOps.exif_transpose(image)), min_side)


def _check_size(path: Path, size: tuple[int, int], min_side: int) -> None:
    scaled = _scaled_size(size, min_side)
    if size[0] * size[1] > MAX_PIXELS or scaled[0] * scaled[1] > MAX_PIXELS:
        raise SourceError(
            f"{path} is too large: {size[0]} x {size[1]} px, {scaled[0]} x {scaled[1]} "
            f"px at a least side of {min_side}; at most {MAX_PIXELS} px in all: crop it"
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_16_bit(image).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point values have no fixed range; save as 8 bits")
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale gray values in [0, 65535] to [0, 255], rounded.

    Pillow opens some 16-bit formats as 32-bit integers.
    """
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(
            f"its 32-bit values from {values.min()} to {values.max()} have no fixed "
            "range; save it as 8 or 16 bits"
        )
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))


def _scale_up(image: Image.Image, min_side: int) -> Image.Image:
    if min(image.size) >= min_side:
        return image
    scaled = _scaled_size(image.size, min_side)
    return image.resize(scaled, Image.Resampling.BICUBIC)


def _scaled_size(size: tuple[int, int], min_side: int) -> tuple[int, int]:
    """Return the size once both sides are at least `min_side`, aspect kept."""
    least = min(size)
    if least >= min_side:
        return size
    width, height = ((side * min_side + least // 2) // least for side in size)
    return width, height
