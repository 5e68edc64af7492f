"""A folder of textures of one's own: one sub-folder per class, images of any size.

python examples/own_textures.py
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from texturedmnist import Recipe, TexturedMNIST

# By default the first ten classes in sorted order fill digits; the others are grounds.
DIGITS = [f"digit_waves_{number}" for number in range(10)]
GROUNDS = [f"ground_waves_{number:02d}" for number in range(20)]


def write_class(folder: Path, seed: int) -> None:
    """Write three images of waves in a direction and a color of the class's own."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    direction, color = rng.normal(size=2), rng.uniform(0.2, 1, 3)
    y, x = np.mgrid[:96, :96]
    for number in range(3):
        phase = rng.uniform(0, 2 * np.pi)
        waves = np.sin((direction[0] * y + direction[1] * x) / 2 + phase)
        pixels = (127.5 * (1 + waves))[..., None] * color
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")


def main() -> None:
    """Write the textures, then show what is made of them."""
    with tempfile.TemporaryDirectory() as place:
        for seed, name in enumerate([*DIGITS, *GROUNDS]):
            write_class(Path(place, "textures", name), seed)
        recipe = Recipe(
            bg=0, tex=0, digits="embedded", image_size=64, train=40, val=0, test=10,
            digit_textures=f"{place}/textures", background_textures=f"{place}/textures",
        )  # fmt: skip
        targets = ["label", "digit_texture", "background_texture"]
        cache = f"{place}/cache"
        dataset = TexturedMNIST.from_recipe(recipe, "train", targets, cache_dir=cache)
        for index in range(5):
            image, (label, inside, outside) = dataset[index]
            print(
                f"a {label} of {dataset.digit_texture_classes[inside]} on "
                f"{dataset.background_texture_classes[outside]}, {image.size}"
            )


if __name__ == "__main__":
    main()
