"""What a run is a run of, but for its seed: as keys and in words, pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reff_bench.catalog.datasets import dataset_title
from reff_bench.grid.config import RunConfig
from reff_bench.grid.expand import preset_of
from reff_bench.grid.marks import OPTIONS
from reff_bench.report.settings import NOT_SETTINGS
from reff_bench.report.words import describe_supervision, show, weights_in_words
from reff_bench.results.folder import RunRecord
from texturedmnist.common.digest import canonical_digest

DATA = {
    "dataset",
    "data_identity",
    *(name for name, option in OPTIONS.items() if option.group == "data"),
}
ANNOTATOR = "annotator_"
# Told elsewhere; the annotations with the supervision.
APART = {
    *("method", "annotations", "annotation_unit", "backbone", "weights"),
    *(*NOT_SETTINGS, *DATA, "code_identity"),
}


class Design(NamedTuple):
    """What a run is a run of, but for its seed.

    Attributes:
        key: 16 hexadecimal digits that stand for it.
        data: likewise, for the data alone.
        effort: data, method, supervision and network: what the trainings have in common
            that served to find a method's options.
        fields: all that the result depends on.
    """

    key: str
    data: str
    effort: tuple[str, str, str, str]
    fields: Mapping[str, Any]

    @property
    def tuned_as(self) -> tuple[str, str]:
        """Method and network: what trainings for tuning on other data are of."""
        _, method, _, network = self.effort
        return method, network


def design_of(row: RunRecord) -> Design:
    """Return what a run is a run of, but for its seed."""
    fields = row.settings.canonical(uses_masks=row.uses_masks)
    del fields["seed"]
    data = _key({name: value for name, value in fields.items() if name in DATA})
    given, network = describe_supervision(row), describe_network(row.settings)
    return Design(_key(fields), data, (data, row.method, given, network), fields)


def _key(fields: Mapping[str, Any]) -> str:
    return canonical_digest(fields)[:16]


def describe_data(run: RunConfig) -> str:
    """Return what a run is trained and tested on, in words."""
    fields = run.canonical()  # no folder's path is in it
    preset = preset_of(run)
    parts = [f"preset {preset}"] if preset else []
    parts.append(f"{dataset_title(run.dataset)} {run.image_size} px")
    if run.has_small_digits:
        parts.append(f"digits of {run.digit_size} px")
    for name in ("bg", "tex"):
        if name in fields:
            parts.append(f"{name} {fields[name]:g} (test {fields[f'test_{name}']:g})")
    further = ("task", "digits", "digit_textures", "background_textures")
    known = (n for n in (*further, "train", "val", "test") if n in fields)
    parts += [f"{name.replace('_', ' ')} {show(fields[name])}" for name in known]
    return ", ".join(parts)


def describe_network(run: RunConfig) -> str:
    """Return a run's network and its first weights, in words."""
    (start,) = weights_in_words([run]) or ["ImageNet"]
    return f"{show(run.backbone)}, {start.removeprefix('none, ')}"


def differences(designs: Sequence[Design]) -> list[str]:
    """Return in words what tells each design from others of its method.

    What data, supervision and network tell is left out.
    """
    names = {name for one in designs for name in one.fields} - APART
    varied: dict[tuple[str, str], set[str]] = {}
    for one in designs:
        for name in names:
            # Without pseudo-annotations there is no annotator: that is no other value.
            if name in one.fields or not name.startswith(ANNOTATOR):
                known = varied.setdefault((one.effort[1], name), set())
                known.add(show(one.fields.get(name)))
    parts = [
        [
            f"{name} {show(value)}"
            for name, value in one.fields.items()
            if len(varied.get((one.effort[1], name), ())) > 1
        ]
        for one in designs
    ]
    keys = [(one.effort, *own) for one, own in zip(designs, parts, strict=True)]
    count = Counter(keys)
    for one, own, key in zip(designs, parts, keys, strict=True):
        own += [f"setting {one.key[:8]}"] if count[key] > 1 else []
    return [", ".join(own) for own in parts]
