import csv
import hashlib
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.texturedmnist.conftest import Planner
from texturedmnist.card import CARD_NAME, CROISSANT_NAME, croissant, data_card
from texturedmnist.card.statements import PUBLISHED, ROLES, SOURCES
from texturedmnist.generate import run_build, write_cards
from texturedmnist.manifest import DatasetError, Manifest, read_manifest
from texturedmnist.recipe import RECIPE_VERSION, recipe_hash

DATA_CARDS = Path(__file__).parents[2] / "data_cards"
# The headings of a Data Card (PAIR-code, extended template), by level.
HEADINGS = tuple(
    """\
## Authorship
## Dataset Overview; ### Snapshot; ### Content Description
### Descriptive Statistics; ### Version and Maintenance
## Example of Data Points; ### Typical Data Point; ### Atypical Data Point
### Data Fields
## Motivations & Intentions; ### Suitable Use Case; ### Unsuitable Use Case
## Access, Retention, & Wipeout
## Provenance; ### Methods; ### Source Description; ### Relationship to Source
## Human and Other Sensitive Attributes
## Extended Use; ### Known Correlations; ### Split Statistics
## Transformations; ## Annotations & Labeling; ## Validation Types
## Sampling Methods; ## Known Applications & Benchmarks; ## Terms of Art
## Reflections on Data""".replace("; ", "\n").splitlines()
)
DTD_TERMS = "https://www.robots.ox.ac.uk/~vgg/data/dtd/"


@pytest.fixture
def manifest(finished: Path) -> Manifest:
    return read_manifest(finished)


def made_of(manifest: Manifest, digits: str, inside: str, outside: str) -> Manifest:
    """Return a manifest as if the samples had been made of these sources."""
    roles = dict(zip(ROLES, (digits, inside, outside), strict=True))
    return manifest.model_copy(update={"recipe": manifest.recipe | roles})


def front_of(card: str) -> dict[str, Any]:
    _, front, _ = card.split("---\n", maxsplit=2)
    loaded = yaml.safe_load(front)
    assert isinstance(loaded, dict)
    return loaded


def sections_of(card: str) -> dict[str, str]:
    """Return the text under each second-level heading."""
    parts = re.split(r"^## (.+)$", card, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def headings_of(card: str) -> list[str]:
    return re.findall(r"^##{1,2} .+$", card, flags=re.MULTILINE)


def test_a_card_has_every_heading_in_order_with_text(manifest: Manifest) -> None:
    card = data_card(manifest)
    assert tuple(headings_of(card)) == HEADINGS
    parts = re.split(r"^#+ .+$", card, flags=re.MULTILINE)
    assert sum(not part.strip() for part in parts[1:]) == 3  # these only hold others
    assert "$" not in card


@pytest.mark.parametrize("path", sorted(DATA_CARDS.glob("*.md")), ids=lambda p: p.stem)
def test_the_hand_written_cards_have_the_same_headings(path: Path) -> None:
    assert tuple(headings_of(path.read_text(encoding="utf-8"))) == HEADINGS


def test_the_numbers_of_a_card_are_the_manifests(manifest: Manifest) -> None:
    card = data_card(manifest)
    assert f"`{manifest.identity}`" in card
    assert all(f"`{digest}`" in card for digest in manifest.sources.values())
    overview = sections_of(card)["Dataset Overview"]
    assert "| Samples | 100 |" in overview
    for split in ("train", "val"):
        aligned = sum(manifest.splits[split].groups[str(g)] for g in range(1, 20, 2))
        count = manifest.splits[split].count
        row = f"| {split} | {count} | 0.2 | 0.5 | {100 * aligned / count:.1f} % |"
        assert row in overview
    assert re.search(r"\| test \| 20 \| 1 \| 0.5 \| ", overview)
    table = sections_of(card)["Extended Use"]
    for digit in range(10):
        cells = [
            f"{split.groups[str(2 * digit + 1)]} / {split.groups[str(2 * digit)]}"
            for split in manifest.splits.values()
        ]
        assert f"| {digit} | {' | '.join(cells)} |" in table


@pytest.mark.parametrize(
    ("sources", "license", "words"),
    [
        (("mnist", "dtd", "dtd"), "other", "research use only"),
        (("embedded", "dtd", "embedded"), "other", "don't publish it"),
        (("mnist", "embedded", "embedded"), "cc-by-sa-3.0", "MNIST's terms"),
        (("embedded", "embedded", "embedded"), "cc-by-4.0", "UCI repository"),
        (("mnist", "dtd", "folder"), "unknown", "texturedmnist doesn't know"),
    ],
)
def test_the_strictest_source_rules_the_license(
    manifest: Manifest, sources: tuple[str, str, str], license: str, words: str
) -> None:
    card = data_card(made_of(manifest, *sources))
    front = front_of(card)
    assert front["license"] == license
    expected = DTD_TERMS if license == "other" else None
    assert front.get("license_link") == expected
    assert words in sections_of(card)["Access, Retention, & Wipeout"]


def test_every_combination_of_sources_has_cards(manifest: Manifest) -> None:
    textures = ("dtd", "embedded", "folder")
    for sources in itertools.product(("mnist", "embedded"), textures, textures):
        made = made_of(manifest, *sources)
        kinds = zip(ROLES.values(), sources, strict=True)
        named = {SOURCES[kind].name for kind in kinds}
        card = sections_of(data_card(made))["Provenance"]
        derived = json.loads(croissant(made, 1))["prov:wasDerivedFrom"]
        assert {origin["prov:label"] for origin in derived} == named
        assert all(f"| {name} |" in card for name in named)


def test_the_front_matter_is_hugging_faces(manifest: Manifest) -> None:
    front = front_of(data_card(manifest))
    assert front["task_categories"] == ["image-classification", "image-segmentation"]
    assert front["size_categories"] == ["n<1K"]
    assert front["viewer"] is False  # `datasets` can't read these shards
    assert front["pretty_name"] == "Textured MNIST (bg 0.2, tex 0.5)"


def test_a_split_without_conflicts_is_named(plan: Planner, tmp_path: Path) -> None:
    manifest = run_build(plan(tmp_path / "tm", bg=0))
    reflections = sections_of(data_card(manifest))["Reflections on Data"]
    assert "train has no sample in 10 of its 20 groups" in reflections
    limits = json.loads(croissant(manifest, 1))["rai:dataLimitations"]
    assert any("train has no sample in 10" in limit for limit in limits)


def test_a_small_digit_is_not_said_to_stand_in_the_middle(manifest: Manifest) -> None:
    assert "stands in the middle" in data_card(manifest)
    recipe = manifest.recipe | {"image_size": 64}
    small = manifest.model_copy(update={"recipe": recipe})
    assert "stands in the middle" not in data_card(small)


def test_the_cards_are_the_manifests(finished: Path, manifest: Manifest) -> None:
    size = (finished / "samples.csv").stat().st_size
    card = (finished / CARD_NAME).read_text(encoding="utf-8")
    assert card == data_card(manifest)
    described = (finished / CROISSANT_NAME).read_text(encoding="utf-8")
    assert described == croissant(manifest, size)


def test_cards_need_the_table(dataset: Path, manifest: Manifest) -> None:
    (dataset / "samples.csv").unlink()
    with pytest.raises(DatasetError, match=r"samples\.csv is missing; run the same"):
        write_cards(dataset, manifest)


def test_croissant_has_what_is_required(finished: Path, manifest: Manifest) -> None:
    described = json.loads((finished / CROISSANT_NAME).read_text())
    required = ("name", "description", "license", "url", "creator", "datePublished")
    assert all(described[name] for name in required)
    assert PUBLISHED[RECIPE_VERSION]
    assert described["@type"] == "sc:Dataset"
    assert "http://mlcommons.org/croissant/1.1" in described["dct:conformsTo"]
    digest = recipe_hash(manifest.recipe, manifest.recipe_version)
    assert digest in described["prov:wasGeneratedBy"]["sc:description"]
    assert described["prov:wasGeneratedBy"]["@id"] == f"urn:sha256:{digest}"


def test_croissant_lists_every_file_with_its_size_and_digest(finished: Path) -> None:
    described = json.loads((finished / CROISSANT_NAME).read_text())
    names = {file["contentUrl"] for file in described["distribution"]}
    assert names == {"samples.csv", *(path.name for path in finished.glob("*.h5"))}
    for file in described["distribution"]:
        content = (finished / file["contentUrl"]).read_bytes()
        assert file["contentSize"] == f"{len(content)} B"
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        shard = file["contentUrl"].endswith(".h5")
        assert file["encodingFormat"] == ("application/x-hdf5" if shard else "text/csv")


# rdflib, which mlcroissant stands on, uses a class of its own that it gave up.
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
def test_mlcroissant_finds_nothing_wrong_and_reads_the_table(finished: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(jsonld=finished / CROISSANT_NAME)
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    with (finished / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    records = list(dataset.records("samples"))
    assert len(records) == len(rows) == 100
    for record, row in zip(records, rows, strict=True):
        found = {name: as_text(value) for name, value in record.items()}
        assert found == {f"samples/{name}": text for name, text in row.items()}
    splits = {as_text(r["splits/name"]) for r in dataset.records("splits")}
    assert splits == {"train", "val", "test"}


def as_text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
