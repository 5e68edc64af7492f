"""The schema of the Parquet files, with the features as `datasets` notes them."""

import json
from typing import Any

from texturedmnist.interop.errors import missing_package
from texturedmnist.manifest import Manifest

try:
    import pyarrow as pa
except ImportError as error:
    raise missing_package("pyarrow", error) from None

COLUMNS = {  # of a shard and of the export
    "label": "ClassLabel",
    "background_texture": "ClassLabel",
    "digit_texture": "ClassLabel",
    "background_aligned": "bool",
    "digit_aligned": "bool",
    "index": "int64",
}


def make_schema(manifest: Manifest) -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Return the files' schema, with the features as `datasets` notes them."""
    png = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    types = {"bool": pa.bool_()}
    fields = {name: types.get(kind, pa.int64()) for name, kind in COLUMNS.items()}
    notes = {
        "huggingface": json.dumps({"info": {"features": _features(manifest)}}),
        "texturedmnist": json.dumps({"identity": manifest.identity}),
    }
    return pa.schema({"image": png, "mask": png, **fields}, notes)


def _features(manifest: Manifest) -> dict[str, dict[str, Any]]:
    classes = {
        "label": [str(digit) for digit in range(10)],
        "background_texture": list(manifest.background_texture_classes),
        "digit_texture": list(manifest.digit_texture_classes),
    }
    features: dict[str, dict[str, Any]] = {
        "image": {"_type": "Image"},
        "mask": {"_type": "Image"},
    }
    for name, kind in COLUMNS.items():
        if kind == "ClassLabel":
            features[name] = {"names": classes[name], "_type": "ClassLabel"}
        else:
            features[name] = {"dtype": kind, "_type": "Value"}
    return features
