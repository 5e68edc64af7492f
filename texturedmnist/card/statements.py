"""What a user of a dataset should know, said once for the card and for Croissant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from texturedmnist.manifest import Manifest

DIGITS, TEXTURES = "digits", "textures"
ROLES = {  # field of a recipe -> kind of source
    "digits": DIGITS,
    "digit_textures": TEXTURES,
    "background_textures": TEXTURES,
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where digits or textures come from, in words; "" where there is nothing."""

    name: str
    contents: str
    license: str
    license_url: str
    uri: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which terms a whole dataset stands.

    Attributes:
        license: identifier in a Hugging Face card.
        words: what that means for whoever holds the dataset.
        name: where the identifier is `other`, the terms' name, else "".
        url: where it is `other`, of the terms, else "".
    """

    license: str
    words: str
    name: str = ""
    url: str = ""


MNIST = Source(
    "MNIST",
    "70,000 handwritten digits, 28 x 28",
    "CC BY-SA 3.0, as commonly stated",
    "https://creativecommons.org/licenses/by-sa/3.0/",
    "https://doi.org/10.1109/5.726791",
    "LeCun, Bottou, Bengio, Haffner 1998, doi:10.1109/5.726791",
)
UCI_DIGITS = Source(
    "embedded digits",
    "1,797 handwritten digits of the UCI repository, as scikit-learn carries them, "
    "8 x 8 enlarged to 28 x 28",
    "CC BY 4.0 (UCI Machine Learning Repository)",
    "https://creativecommons.org/licenses/by/4.0/",
    "https://doi.org/10.24432/C50P49",
    "Alpaydin, Kaynak 1998, doi:10.24432/C50P49",
)
DTD = Source(
    "DTD (Describable Textures Dataset)",
    "photographs of 47 classes of textures",
    "for research use only",
    "https://www.robots.ox.ac.uk/~vgg/data/dtd/",
    "https://www.robots.ox.ac.uk/~vgg/data/dtd/",
    "Cimpoi, Maji, Kokkinos, Mohamed, Vedaldi 2014, doi:10.1109/CVPR.2014.461",
)
EMBEDDED_TEXTURES = Source(
    "embedded textures",
    "procedural textures of 47 classes named after DTD's, made by texturedmnist",
    "MIT, as texturedmnist",
    "https://spdx.org/licenses/MIT.html",
    "urn:texturedmnist:embedded-textures",
)
FOLDER = Source(
    "a folder of textures",
    "images of the user's own, one sub-folder per class",
    "that of the images; texturedmnist doesn't know it",
    "",
    "urn:texturedmnist:folder-of-textures",
)
SOURCES: Mapping[tuple[str, str], Source] = {
    (DIGITS, "mnist"): MNIST,
    (DIGITS, "embedded"): UCI_DIGITS,
    (TEXTURES, "dtd"): DTD,
    (TEXTURES, "embedded"): EMBEDDED_TEXTURES,
    (TEXTURES, "folder"): FOLDER,
}

# The first source of these that a dataset contains rules it: strictest terms first.
TERMS: Mapping[Source, Terms] = {
    FOLDER: Terms(
        "unknown",
        "It holds crops of images whose terms texturedmnist doesn't know: add them "
        "here before handing it on.",
    ),
    DTD: Terms(
        "other",
        "It holds crops of DTD's photographs, which are available for research use "
        "only, and so is this dataset: don't publish it, hand on the recipe instead.",
        "dtd-research-use-only",
        DTD.license_url,
    ),
    MNIST: Terms(
        "cc-by-sa-3.0",
        "It holds the shapes of MNIST's digits: hand it on under MNIST's terms.",
    ),
    UCI_DIGITS: Terms(
        "cc-by-4.0",
        "It holds the shapes of digits of the UCI repository: name them when handing "
        "it on.",
    ),
}


def sources_of(recipe: Mapping[str, Any]) -> dict[str, Source]:
    """Return the source of each role of a canonical recipe."""
    return {role: SOURCES[kind, recipe[role]] for role, kind in ROLES.items()}


def terms_of(recipe: Mapping[str, Any]) -> Terms:
    """Return the terms under which a dataset of a canonical recipe stands."""
    used = set(sources_of(recipe).values())
    return next(terms for source, terms in TERMS.items() if source in used)


PUBLISHED = {1: "2026-11-23"}  # by recipe version: a manifest has no date of its own
CREATOR = "The Textured MNIST developers"
PAPER_URL = "https://doi.org/10.1109/ICME52920.2022.9859838"
CITATION = """@inproceedings{adachi2022reff,
  title = {Learning Robust Convolutional Neural Networks with Relevant Feature Focusing
           via Explanations},
  author = {Adachi, Kazuki and Yamaguchi, Shin'ya},
  booktitle = {IEEE International Conference on Multimedia and Expo (ICME)},
  year = {2022},
  doi = {10.1109/ICME52920.2022.9859838}
}"""
SUITABLE = (
    "To study, under control, whether a method ignores a spurious background or digit "
    "texture, and how much of that correlation it takes to mislead it.",
    "To measure whether an explanation stays on the object, against masks without "
    "error; to study what such annotations are worth in training.",
)
UNSUITABLE = (
    "As evidence about natural images, about handwriting, or about people.",
    "To hold numbers against those of the paper that introduced the data set: its code "
    "and data aren't public, and its ties of textures to digits are lost; those here "
    "are texturedmnist's own.",
)
SENSITIVE = (
    "None. The digits are handwriting without any identity; textures show materials "
    "and patterns."
)
MAINTENANCE = (
    "A dataset is never changed: a pixel that changes means a new recipe version and "
    "another identity. texturedmnist's changelog lists such changes under Data."
)
COLLECTION = (
    "Synthesized, not collected: every sample is a function of recipe, sources, split "
    "and index. No choice is made by hand; each is a hash of seed, split, purpose and "
    "index."
)
PREPROCESSING = (
    "Digits are enlarged bilinearly and cut at half of 255; that is the mask. Textures "
    "are crops at native scale; an image too small for a crop is scaled up once.",
    "A pixel is the digit texture's where the mask is 1, else the background's. "
    "Nothing is blended, normalised or compressed with loss.",
)
ANNOTATION = (
    "Labels are the digits' own. Masks are made with the image, not drawn by people: 1 "
    "exactly where the digit's texture was painted."
)


def known_correlations(manifest: Manifest) -> list[str]:
    """Return the shortcuts that are known of a dataset, worst first."""
    recipe = manifest.recipe
    found = []
    for split, entry in manifest.splits.items():
        bg, tex = manifest.randomness(split)
        found.append(
            f"In {split} the background's class is one of the label's own in "
            f"{100 * entry.aligned:.1f} % of the samples (background randomness "
            f"{bg:g}, that of the digit's texture {tex:g}). That is what the dataset "
            "is made for."
        )
    found.append(
        "The digit's texture lies inside the mask: the less digit-texture randomness, "
        "the more a model can read it instead of the shape and still look well focused."
    )
    if recipe["digit_size"] == recipe["image_size"]:
        found.append(
            "Every digit stands in the middle and fills the image: a map that always "
            "shows the centre looks well focused."
        )
    return found


def limitations(manifest: Manifest) -> list[str]:
    """Return what a dataset can't show, or what is poor about it."""
    used = sources_of(manifest.recipe).values()
    found = [
        "A free draw can hit a class of the label's own by chance, and not every digit "
        "has as many of them: 'texturedmnist audit' measures both.",
        "Masks without error are better than any annotation by people.",
    ]
    if EMBEDDED_TEXTURES in used:
        found.append(
            "The embedded textures are drawn by one program, with "
            f"{manifest.recipe['embedded_instances']} instances of each class: simpler "
            "than photographs, and no stand-in for DTD."
        )
    if UCI_DIGITS in used:
        found.append(
            "The embedded digits are 1,797 images of 8 x 8 px: larger splits repeat "
            "them with other textures."
        )
    if DTD in used:
        found.append(
            "JPEG decoders differ between builds: equal pixels are promised for equal "
            "digests of the decoded sources, which the manifest records."
        )
    return found + missing_groups(manifest)


def missing_groups(manifest: Manifest) -> list[str]:
    """Return which splits lack whole groups, and what that means."""
    found = []
    for name, split in manifest.splits.items():
        empty = sum(not size for size in split.groups.values())
        if empty:
            found.append(
                f"{name} has no sample in {empty} of its 20 groups (2 * label + "
                "background aligned): there is no worst group over all 20, and "
                "trainers that balance groups fail or see only the others. More "
                "background randomness or more samples fill them."
            )
    return found
