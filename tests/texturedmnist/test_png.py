import numpy as np
import pytest

from texturedmnist.interop.export.png import encode, holds


@pytest.mark.parametrize("shape", [(30, 30, 3), (30, 30)])
def test_only_the_whole_png_of_the_very_pixels_holds_them(
    shape: tuple[int, ...],
) -> None:
    high = 256 if len(shape) == 3 else 2
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, high, shape, np.uint8)
    png = encode(pixels)
    assert holds(png, pixels)
    for place in range(len(png)):
        assert not holds(png[:place], pixels)
        flipped = png[:place] + bytes([png[place] ^ 1]) + png[place + 1 :]
        assert not holds(flipped, pixels)
    other = pixels.copy()
    other[3, 5] ^= 1
    assert not holds(png, other)
    assert not holds(png, pixels[:-1])


def test_every_pixel_value_survives() -> None:
    values = np.arange(256, dtype=np.uint8)
    image = np.stack([values, values[::-1], values ^ 85], axis=-1).reshape(16, 16, 3)
    assert holds(encode(image), image)
