import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from reff_bench.data.backgrounds import Backgrounds, open_backgrounds
from reff_bench.data.opening import open_data
from reff_bench.data.pixels import PixelSource
from reff_bench.data.split import Data
from reff_bench.data.transforms import normalize
from reff_bench.evaluate.model import NAMES, measure_backgrounds
from reff_bench.identity.tree import DataError
from reff_bench.models.output import Output
from reff_bench.results.json_file import Fields
from tests.reff_bench.small import RECIPE, build_folder, small_config, stored_config
from tests.reff_bench.trees import tree_config
from texturedmnist import TexturedMNIST
from texturedmnist.recipe import Recipe

ROWS = torch.arange(40)
KINDS = ("aligned", "random", "counterfactual")


@pytest.fixture(scope="module")
def backgrounds() -> Backgrounds:
    return open_backgrounds(small_config())


def source_of(backgrounds: Backgrounds, kind: str) -> PixelSource:
    source: PixelSource = getattr(backgrounds, kind)
    return source


class Reader(nn.Module):
    """A network that sees one region only: the nearest known image's label.

    It is asked about the samples of one split, in order, in any rendering: the masks,
    and with them its region, are the same in all.
    """

    def __init__(self, known: Tensor, labels: Tensor, region: Tensor) -> None:
        """Keep (n, 3, S, S) images, (n,) labels and (n, S, S) bool regions."""
        super().__init__()
        self.known, self.labels, self.region = known, labels, region

    def forward(self, image: Tensor) -> Output:
        """Compare each image with all known ones, on its own region."""
        pairs = zip(image, self.region[: len(image)], strict=True)
        self.region = self.region.roll(-len(image), 0)  # the next batch's come first
        nearest = [
            (((self.known - one) * region) ** 2).sum((1, 2, 3)).argmin()
            for one, region in pairs
        ]
        labels = self.labels[torch.stack(nearest)]
        return Output(nn.functional.one_hot(labels, 10).float(), {})


def measure(
    data: Data, backgrounds: Backgrounds, known: PixelSource, *, inside: bool
) -> Fields:
    """The metrics of a reader of the digits, or of the backgrounds."""
    test = data.splits["test"]
    masks = test.source.read(ROWS)[1].bool()
    region = masks if inside else ~masks
    model = Reader(normalize(known.read(ROWS)[0]), test.labels, region)
    predicted = model(test.get(ROWS).image).logits.argmax(1)
    return measure_backgrounds(model, backgrounds, ROWS, test.labels, predicted)


@pytest.mark.parametrize("kind", KINDS)
def test_another_background_changes_no_pixel_of_the_digit(
    kind: str, data: Data, backgrounds: Backgrounds
) -> None:
    images, masks = data.splits["test"].source.read(ROWS)
    others, same = source_of(backgrounds, kind).read(ROWS)
    assert torch.equal(masks, same)
    changed = (images != others).any(1)
    assert not (changed & masks.bool()).any()
    assert kind == "random" or changed[masks == 0].float().mean() > 0.5


def test_a_counterfactual_has_another_background_than_its_original(
    data: Data, backgrounds: Backgrounds
) -> None:
    images, masks = data.splits["test"].source.read(ROWS)
    others, _ = backgrounds.counterfactual.read(ROWS)
    changed = (images != others).any(1)
    for one, mask in zip(changed, masks, strict=True):
        assert one[mask == 0].float().mean() > 0.5
    test = TexturedMNIST.from_recipe(Recipe(**RECIPE), "test")
    image, _ = test.counterfactual(7)
    assert others[7].permute(1, 2, 0).numpy().tobytes() == image.tobytes()


def test_a_network_that_reads_the_digit_has_no_background_gap(
    data: Data, backgrounds: Backgrounds
) -> None:
    found = measure(data, backgrounds, data.splits["test"].source, inside=True)
    assert found["aligned_accuracy"] == found["random_accuracy"] == 1.0
    assert (found["background_gap"], found["flip_rate"]) == (0.0, 0.0)


def test_each_shortcut_is_the_end_of_its_randomness(backgrounds: Backgrounds) -> None:
    for (bg, tex), source in backgrounds.shortcuts.items():
        ends = {"test_bg": float(bg == "random"), "test_tex": float(tex == "random")}
        end = open_data(small_config().model_copy(update=ends)).splits["test"]
        expected = end.source.read(ROWS)[0]
        assert torch.equal(source.read(ROWS)[0], expected)
        if tex == "aligned":  # as the test's digits are
            assert torch.equal(source_of(backgrounds, bg).read(ROWS)[0], expected)
        assert bg == "random" or (end.groups % 2 == 1).all()
    assert len(backgrounds.shortcuts) == 4


def test_a_network_that_reads_the_digits_texture_has_a_texture_gap_alone(
    data: Data, backgrounds: Backgrounds
) -> None:
    aligned = backgrounds.shortcuts["random", "aligned"]
    found = measure(data, backgrounds, aligned, inside=True)
    for bg in ("aligned", "random"):
        assert found[f"accuracy_bg_{bg}_tex_aligned"] == 1.0
        assert found[f"accuracy_bg_{bg}_tex_random"] < 0.6
    gap = 1.0 - float(found["accuracy_bg_random_tex_random"])
    assert found["texture_gap"] == pytest.approx(gap)


def test_a_network_that_reads_the_background_has_a_large_gap(
    data: Data, backgrounds: Backgrounds
) -> None:
    found = measure(data, backgrounds, backgrounds.aligned, inside=False)
    assert found["aligned_accuracy"] == 1.0
    assert found["background_gap"] > 0.5
    assert found["flip_rate"] > 0.5


def test_without_backgrounds_or_samples_all_is_none(backgrounds: Backgrounds) -> None:
    none = torch.arange(0)
    for given, rows in ((None, ROWS), (backgrounds, none)):
        found = measure_backgrounds(nn.Identity(), given, rows, none, none)
        assert found == dict.fromkeys(NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_folder_has_the_same_backgrounds(
    kind: str, stored: Path, backgrounds: Backgrounds
) -> None:
    found = source_of(open_backgrounds(stored_config(stored)), kind).read(ROWS)
    expected = source_of(backgrounds, kind).read(ROWS)
    assert all(map(torch.equal, found, expected))


def test_what_cannot_be_rendered_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pets can't be rendered on other backgrounds"):
        open_backgrounds(tree_config("pets", tmp_path))
    few = dict.fromkeys(("train", "val", "test"), 20)
    folder = build_folder(tmp_path / "data", **few)
    manifest = folder / "manifest.json"
    fields = json.loads(manifest.read_text())
    del fields["digest"]  # as in manifests of before
    fields["recipe"]["digits"] = "mnist"
    manifest.write_text(json.dumps(fields))
    with pytest.raises(DataError, match="MNIST"):
        open_backgrounds(stored_config(folder), tmp_path)
