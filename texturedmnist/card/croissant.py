"""A dataset as Croissant 1.1 (mlcommons.org/croissant/1.1), JSON-LD.

HDF5 can't back a RecordSet, so the shards are listed as files, and the RecordSet stands
on `samples.csv`.
"""

import json
from collections.abc import Mapping
from typing import Any

from texturedmnist.card.statements import (
    ANNOTATION,
    CITATION,
    COLLECTION,
    CREATOR,
    MAINTENANCE,
    PAPER_URL,
    PREPROCESSING,
    PUBLISHED,
    SENSITIVE,
    SUITABLE,
    UNSUITABLE,
    known_correlations,
    limitations,
    sources_of,
    terms_of,
)
from texturedmnist.manifest import TABLE_NAME, Manifest, ShardEntry
from texturedmnist.recipe import recipe_hash

CROISSANT_NAME = "croissant.json"
CONFORMS_TO = (
    "http://mlcommons.org/croissant/1.1",
    "http://mlcommons.org/croissant/RAI/1.0",
)
PREFIXES = {
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
}
TERMS_OF_CR = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract"),
    *("field", "fileObject", "fileProperty", "fileSet", "format", "includes"),
    *("isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path"),
    *("recordSet", "references", "regex", "repeated", "replace", "samplingRate"),
    *("separator", "source", "subField", "transform"),
)
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **PREFIXES,
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in TERMS_OF_CR},
}

TEXT, INTEGER, FLAG = "sc:Text", "sc:Integer", "sc:Integer"
COLUMNS: Mapping[str, tuple[str | list[str], str]] = {
    "split": (TEXT, "Split of the sample."),
    "index": (INTEGER, "Place in the split."),
    "shard": (TEXT, "HDF5 file that holds the image and the mask."),
    "label": ([INTEGER, "cr:Label"], "The digit."),
    "digit": (INTEGER, "Number of the digit's image in its source."),
    "digit_texture": (TEXT, "Class of the texture inside the digit."),
    "background_texture": (TEXT, "Class of the texture around it."),
    "digit_aligned": (FLAG, "1: the digit's texture is tied to the label, else 0."),
    "background_aligned": (FLAG, "1: the background is tied to the label, else 0."),
    "group": (INTEGER, "2 * label + background_aligned."),
    "digit_texture_file": (TEXT, "File that the digit's texture is a crop of."),
    "background_texture_file": (TEXT, "File that the background is a crop of."),
}
SPLIT_MEANING = {
    "train": "cr:TrainingSplit",
    "val": "cr:ValidationSplit",
    "val_shifted": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}


def croissant(manifest: Manifest, table_bytes: int) -> str:
    """Return the Croissant description of a dataset as JSON-LD.

    The same manifest gives the same text; `table_bytes` is the size of `samples.csv`.
    """
    description = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "dct:conformsTo": list(CONFORMS_TO),
        **_about(manifest),
        **_provenance(manifest),
        **_responsible(manifest),
        "distribution": _files(manifest, table_bytes),
        "recordSet": [_splits(manifest), _samples()],
    }
    return json.dumps(description, indent=2, ensure_ascii=False) + "\n"


def _about(manifest: Manifest) -> dict[str, Any]:
    recipe = manifest.recipe
    terms = terms_of(recipe)
    used = dict.fromkeys(sources_of(recipe).values())
    licenses = [s.license_url or f"{s.name}: {s.license}" for s in used]
    return {
        "name": f"textured-mnist-{manifest.identity[:12]}",
        "description": "Textured MNIST: handwritten digits painted with one texture on "
        f"a background of another, with exact masks. Identity {manifest.identity}. "
        f"A reconstruction of the data set of the paper under 'citeAs'. {terms.words}",
        "license": licenses,
        "url": PAPER_URL,
        "creator": {"@type": "sc:Organization", "name": CREATOR},
        "datePublished": PUBLISHED[manifest.recipe_version],
        "version": f"{manifest.recipe_version}.0.0",
        "inLanguage": "en",
        "keywords": ["spurious correlation", "shortcut learning", "explanation"],
        "citeAs": CITATION,
        "isLiveDataset": False,
    }


def _provenance(manifest: Manifest) -> dict[str, Any]:
    origins = []
    for source in dict.fromkeys(sources_of(manifest.recipe).values()):
        roles = [r for r, s in sources_of(manifest.recipe).items() if s == source]
        digests = ", ".join(f"{role} {manifest.sources[role]}" for role in roles)
        origins.append(
            {
                "@id": source.uri,
                "prov:label": source.name,
                "sc:license": source.license,
                "sc:description": f"{source.contents}; sha256 as decoded: {digests}",
            }
        )
    digest = recipe_hash(manifest.recipe, manifest.recipe_version)
    activity = {
        "@type": "prov:Activity",
        "@id": f"urn:sha256:{digest}",
        "prov:label": f"texturedmnist {manifest.package_version} generate",
        "sc:description": f"Recipe version {manifest.recipe_version}, recipe hash "
        f"(sha256) {digest}: {json.dumps(manifest.recipe, sort_keys=True)}",
    }
    return {"prov:wasDerivedFrom": origins, "prov:wasGeneratedBy": activity}


def _responsible(manifest: Manifest) -> dict[str, Any]:
    unsuitable = [f"Unsuitable: {line}" for line in UNSUITABLE]
    return {
        "rai:dataCollection": COLLECTION,
        "rai:dataCollectionType": ["Software Collection"],
        "rai:dataPreprocessingProtocol": list(PREPROCESSING),
        "rai:dataAnnotationProtocol": [ANNOTATION],
        "rai:dataBiases": known_correlations(manifest),
        "rai:dataLimitations": [*limitations(manifest), *unsuitable],
        "rai:dataUseCases": list(SUITABLE),
        "rai:personalSensitiveInformation": [SENSITIVE],
        "rai:dataReleaseMaintenancePlan": MAINTENANCE,
    }


def _files(manifest: Manifest, table_bytes: int) -> list[dict[str, Any]]:
    table = {
        **_file(TABLE_NAME, table_bytes, "text/csv", manifest.files[TABLE_NAME]),
        "description": "One row per sample.",
    }
    return [table, *(_shard(entry) for entry in manifest.shards)]


def _shard(entry: ShardEntry) -> dict[str, Any]:
    last = entry.start + entry.count - 1
    return {
        **_file(entry.file, entry.bytes, "application/x-hdf5", entry.sha256),
        "description": f"Samples {entry.start} to {last} of {entry.split}.",
    }


def _file(name: str, size: int, encoding: str, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": encoding,
        "sha256": sha256,
    }


def _splits(manifest: Manifest) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "What the splits are called, and mean.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            _field("splits", "name", TEXT, "Name of the split."),
            _field("splits", "url", ["sc:URL", "cr:Split"], "What it is for."),
        ],
        "data": [
            {"splits/name": name, "splits/url": SPLIT_MEANING[name]}
            for name in manifest.splits
        ],
    }


def _samples() -> dict[str, Any]:
    fields = []
    for name, (kind, description) in COLUMNS.items():
        field = _field("samples", name, kind, description)
        field["source"] = {
            "fileObject": {"@id": TABLE_NAME},
            "extract": {"column": name},
        }
        if name == "split":
            field["references"] = {"field": {"@id": "splits/name"}}
        fields.append(field)
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "description": "One record per sample; its pixels are in the shard it names.",
        "key": [{"@id": "samples/split"}, {"@id": "samples/index"}],
        "field": fields,
    }


def _field(
    record_set: str, name: str, kind: str | list[str], description: str
) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": description,
        "dataType": kind,
    }
