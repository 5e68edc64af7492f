import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, ImageFile, ImageOps, features

from texturedmnist.sources import SourceError, decode, open_textures
from texturedmnist.sources.decode import decode_image


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def decoded(path: Path, image: Image.Image, side: int = 1) -> NDArray[np.uint8]:
    """Save an image and decode it, no smaller than a side in px."""
    return decode_image(save(path, image), side)


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_gray_is_scaled_to_8_bits(tmp_path: Path, suffix: str) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (9, 7)).astype(np.uint16)
    values[0, :4] = 0, 128, 129, 65535
    pixels = decoded(tmp_path / f"a.{suffix}", Image.fromarray(values))
    expected = np.round(values * (255 / 65535))
    assert np.array_equal(pixels, np.repeat(expected[..., None], 3, 2))
    assert pixels[0, :4, 0].tolist() == [0, 0, 1, 255]
    header = b"P5 3 1 65535\n" + struct.pack(">3H", 0, 32768, 65535)
    (tmp_path / "a.pgm").write_bytes(header)  # read as 32-bit integers
    assert decode_image(tmp_path / "a.pgm", 1)[0, :, 0].tolist() == [0, 128, 255]


def test_values_of_unknown_range_are_refused(tmp_path: Path) -> None:
    for values, text in (
        (np.array([[0, 70_000]], np.int32), "its 32-bit values from 0 to 70000"),
        (np.zeros((2, 2), np.float32), "floating-point values have no fi"),
    ):
        with pytest.raises(SourceError, match=rf"a\.tif: {text}"):
            decoded(tmp_path / "a.tif", Image.fromarray(values))


def test_gray_black_and_white_and_cmyk_become_rgb(tmp_path: Path) -> None:
    gray = Image.fromarray(noise(9, 7))
    pixels = decoded(tmp_path / "a.png", gray)
    assert np.array_equal(pixels, np.repeat(noise(9, 7)[..., None], 3, 2))
    assert set(decoded(tmp_path / "b.png", gray.convert("1")).ravel()) == {0, 255}
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for name in ("a.jpg", "a.tif"):
        pixels = decoded(tmp_path / name, cmyk).astype(int)
        assert np.abs(pixels - [255, 0, 0]).max() <= 2


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[0] = 200, 100, 0, 255
    rgba[1] = 0, 0, 0, 128
    pixels = decoded(tmp_path / "a.png", Image.fromarray(rgba))
    assert pixels[:3, 0].tolist() == [[200, 100, 0], [127] * 3, [255] * 3]
    palette = Image.fromarray(np.eye(4, dtype=np.uint8), "L").convert("P")
    palette.putpalette([9, 8, 7, 60, 70, 80])
    path = save(tmp_path / "p.png", palette, transparency=bytes([0, 255]))
    pixels = decode_image(path, 1)
    assert pixels[0, :2].tolist() == [[60, 70, 80], [255] * 3]


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(noise(6, 10, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "a.png", image, exif=exif)
    turned = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert np.array_equal(decode_image(path, 1), turned)
    assert np.array_equal(turned, np.rot90(noise(6, 10, 3), -1))


@pytest.mark.parametrize(
    ("size", "scaled"),
    [((30, 40), (32, 43)), ((40, 30), (43, 32)), ((31, 31), (32, 32))],
)
def test_small_images_are_scaled_up_once_aspect_kept(
    tmp_path: Path, size: tuple[int, int], scaled: tuple[int, int]
) -> None:
    image = Image.fromarray(noise(*size, 3))
    assert decoded(tmp_path / "a.png", image, 32).shape == (*scaled, 3)
    assert np.array_equal(decoded(tmp_path / "a.png", image, 30), noise(*size, 3))
    pixels = decoded(tmp_path / "b.png", Image.new("RGB", (1, 1), (3, 254, 77)), 224)
    assert np.array_equal(pixels, np.full((224, 224, 3), (3, 254, 77)))


def test_broken_images_are_named(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.jpg", Image.fromarray(noise(64, 64, 3)))
    cut = whole.read_bytes()[:-500]
    for name, content, text in (
        ("cut.jpg", cut, r"can't decode .*/cut\.jpg: .*truncated"),
        ("text.jpg", b"text", r"can't decode .*/text\.jpg: it is in no kn"),
        ("empty.jpg", b"", r"empty\.jpg is empty: replace it"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=text):
            decode_image(tmp_path / name, 1)
    with pytest.raises(SourceError, match=r"can't read .*/gone\.jpg: No such file"):
        decode_image(tmp_path / "gone.jpg", 1)


def test_an_image_beyond_the_limit_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = r"strip\.png is too large: 10000 x 1 px, 224"
    with pytest.raises(SourceError, match=text):
        decoded(tmp_path / "strip.png", Image.new("L", (10_000, 1)), 224)
    path = save(tmp_path / "a.png", Image.new("L", (60, 60)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    assert decode_image(path, 1).shape == (60, 60, 3)
    monkeypatch.setattr(decode, "MAX_PIXELS", 3599)
    with pytest.raises(SourceError, match=r"a\.png is too large: 60 x 60 px"):
        decode_image(path, 1)
    monkeypatch.setattr(decode, "MAX_BYTES", 10)
    with pytest.raises(SourceError, match=r"a\.png is too large: over 1e-08 GB"):
        decode_image(path, 1)


def test_decoding_does_not_depend_on_what_a_program_set_in_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = save(tmp_path / "a.jpg", Image.fromarray(noise(64, 64, 3)))
    half = tmp_path / "half.jpg"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    pixels = decode_image(whole, 1)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    strategy = GifImagePlugin.LoadingStrategy.RGB_ALWAYS
    monkeypatch.setattr(GifImagePlugin, "LOADING_STRATEGY", strategy)
    assert np.array_equal(decode_image(whole, 1), pixels)
    with pytest.raises(SourceError, match=r"can't decode .*half\.jpg: .*truncated"):
        decode_image(half, 1)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True
    assert Image.MAX_IMAGE_PIXELS == 10
    assert GifImagePlugin.LOADING_STRATEGY is strategy


@pytest.mark.parametrize(
    ("suffix", "like"), [("jfif", "JPEG"), ("jpe", "JPEG"), ("jp2", "JPEG2000")]
)
def test_the_rarer_names_of_image_files_are_read(
    tmp_path: Path, suffix: str, like: str
) -> None:
    (tmp_path / "in" / "a").mkdir(parents=True)
    for number in range(3):
        path = tmp_path / "in" / "a" / f"{number}.{suffix}"
        save(path, Image.fromarray(noise(40, 40, 3)), format=like)
    places: dict[str, Any] = {"data_root": tmp_path, "cache_dir": tmp_path / "cache"}
    bank = open_textures(str(tmp_path / "in"), ["a"], min_side=28, **places)
    assert bank.image(0).shape == (40, 40, 3)


def test_only_a_rare_codec_s_own_files_depend_on_its_version() -> None:
    assert decode.decoder_version(".png") == decode.decoder_version()
    if features.check("jpg_2000"):
        assert ", jpg_2000 " in decode.decoder_version(".jp2")
