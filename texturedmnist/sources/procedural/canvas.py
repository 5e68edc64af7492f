"""Where a texture is painted: its size, its coordinates and its random numbers.

Everything here, in the fields and in the painters is whole-number arithmetic or single
correctly rounded float64 operations (add, subtract, multiply, divide, square root,
floor, compare), so that every CPU and every numpy build paints the same bytes.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from texturedmnist.draws import draw, unit

Field = NDArray[np.float64]

TURN = 4096  # entries of the sine table: steps of a full turn
SINE_SCALE = 65536  # the table holds multiples of 1 / SINE_SCALE
# Libraries may differ in the last bit of a sine; rounding to 16 bits hides that (a
# test shows the margin).
SINES: Field = np.array(
    [
        round(math.sin(math.tau / TURN * k) * SINE_SCALE) / SINE_SCALE
        for k in range(TURN)
    ]
)


class RandomStream:
    """Random numbers in order, a pure function of the seed."""

    def __init__(self, seed: int) -> None:
        """Start at the first number of `seed`."""
        self._seed = seed
        self._used = 0

    def units(self, *shape: int) -> Field:
        """Return float64 in [0, 1) of the given shape."""
        count = math.prod(shape)
        index = np.arange(self._used, self._used + count, dtype=np.int64)
        self._used += count
        return unit(draw(self._seed, "corpus", "texture", index)).reshape(shape)

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * float(self.units(1)[0])

    def whole(self, low: int, high: int) -> int:
        """Return a whole number in [low, high]."""
        return low + int(float(self.units(1)[0]) * (high - low + 1))

    def chance(self, odds: float = 0.5) -> bool:
        """Return True with probability `odds`."""
        return float(self.units(1)[0]) < odds


@dataclass(frozen=True, slots=True)
class Canvas:
    """A square to paint on.

    Attributes:
        size: height and width in px.
        dice: the instance's random numbers.
        zoom: how many times as many features as a painter asks for.
    """

    size: int
    dice: RandomStream
    zoom: float = 1.0

    def axis(self) -> Field:
        """Return the pixel centers along one axis, (size,) in (-0.5, 0.5)."""
        steps = np.arange(self.size, dtype=np.int64) * 2 + (1 - self.size)
        return steps.astype(np.float64) / float(2 * self.size)

    def plane(self, turns: float = 0.0) -> tuple[Field, Field]:
        """Return x and y, each (size, size): zoomed, and rotated about the center."""
        x, y = self.axis()[None, :], self.axis()[:, None]
        cos, sin = (self.zoom * part for part in direction(turns))
        return cos * x + sin * y, cos * y - sin * x

    def turned(self) -> tuple[Field, Field]:
        """Return x and y, each (size, size), rotated by a random angle."""
        return self.plane(self.dice.between(0.0, 1.0))

    def tilted(self, most: float = 0.03) -> tuple[Field, Field]:
        """Return x and y, each (size, size), rotated by at most `most` turns."""
        return self.plane(self.dice.between(-most, most))

    def either_way(self, tone: Field) -> Field:
        """Return the tone or its negative."""
        return 1.0 - tone if self.dice.chance() else tone


def direction(turns: float) -> tuple[float, float]:
    """Return cosine and sine of an angle in turns, to 16 bits."""
    step = math.floor(turns * TURN)
    return float(SINES[(step + TURN // 4) % TURN]), float(SINES[step % TURN])


def sine(turns: Field) -> Field:
    """Return the sine of angles in turns, to 12 bits of angle, in [-1, 1]."""
    step = np.floor(turns * float(TURN)).astype(np.int64)
    height: Field = SINES[step & (TURN - 1)]
    return height
