"""What a dataset is made of, and under which terms, by its recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    licence: str
    licence_url: str
    uri: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which terms a whole dataset stands.

    Attributes:
        licence: identifier in a Hugging Face card.
        name: where the identifier is `other`, the terms' name, else "".
        url: where it is `other`, of the terms, else "".
        words: what that means for whoever holds the dataset.
    """

    licence: str
    name: str
    url: str
    words: str


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
        "",
        "",
        "It holds crops of images whose terms texturedmnist doesn't know: add them "
        "here before handing it on.",
    ),
    DTD: Terms(
        "other",
        "dtd-research-use-only",
        DTD.licence_url,
        "It holds crops of DTD's photographs, which are available for research use "
        "only, and so is this dataset: don't publish it, hand on the recipe instead.",
    ),
    MNIST: Terms(
        "cc-by-sa-3.0",
        "",
        "",
        "It holds the shapes of MNIST's digits: hand it on under MNIST's terms.",
    ),
    UCI_DIGITS: Terms(
        "cc-by-4.0",
        "",
        "",
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
