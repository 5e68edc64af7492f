"""A run: everything that one run depends on, flat and resolved."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from reff_bench.catalog.backbones import check_backbone
from reff_bench.catalog.datasets import check_dataset
from reff_bench.catalog.methods import (
    METHOD_OPTIONS,
    Supervision,
    is_own,
    known_method,
    method_title,
)
from reff_bench.catalog.option import NotNegative, Options, Positive, Share, plain
from texturedmnist.common.digest import canonical_digest
from texturedmnist.recipe import NAMED_SOURCES

RECORD_VERSION = 1  # raised whenever the same run would come to mean another run
AtLeastOne = Annotated[int, Field(ge=1, le=1_000_000_000)]

# Where something lies or how fast it is read: not what it is.
PLACES = ("root", "loader_workers")
ANNOTATOR = "annotator_"
SUPERVISION = "supervision"  # follows from the method
OWN_OPTIONS = "own_options"  # a written field: names of a user's own method's options


class GridError(ValueError):
    """A grid that can't be run: says the place, the value and what is allowed."""


class RunConfig(BaseModel):
    """One run: the data, the design, the training, the method's options.

    A field is None where it has no meaning, such as the randomness of other data than
    Textured MNIST. Written and read, a run is flat: the options stand beside the other
    fields, those that the method doesn't have as None. `OPTIONS` (marks.py) says in
    words what each is and where its default comes from; method.md's sections give the
    formulas.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    record_version: int = RECORD_VERSION
    data_identity: str | None = None  # filled in when a run is planned
    weights_identity: str | None = None  # likewise: sha256 (hex) of a file of weights
    code_identity: str | None = None  # likewise: of the user's own modules

    dataset: Annotated[str, AfterValidator(check_dataset)]
    root: str | None = None  # of a finished folder or an official tree
    task: str | None = None
    image_size: Annotated[int, Field(ge=28, le=2048)] = 224
    bg: Share | None = None
    tex: Share | None = None
    test_bg: Share | None = None
    test_tex: Share | None = None
    digit_size: Annotated[int, Field(ge=28)] | None = None
    digits: Literal["mnist", "embedded"] | None = None
    digit_textures: Annotated[str, Field(min_length=1)] | None = None
    background_textures: Annotated[str, Field(min_length=1)] | None = None
    embedded_instances: Annotated[int, Field(ge=3, le=10_000)] | None = None
    dtd_partition: Annotated[int, Field(ge=1, le=10)] | None = None
    train: AtLeastOne | None = None
    val: AtLeastOne | None = None
    test: AtLeastOne | None = None
    data_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    # A record can be read where its method isn't installed, whatever its name is.
    method: Annotated[str, Field(pattern=r"^[\w.:+-]{1,200}$")]
    annotations: AtLeastOne | Literal["all"] = "all"
    annotation_unit: Literal["per_class", "total", "percent"] = "per_class"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    backbone: Annotated[str, AfterValidator(check_backbone)]
    weights: Annotated[str, Field(min_length=1)] | None = None
    epochs: AtLeastOne = 20
    batch_size: AtLeastOne = 64
    optimizer: Literal["adam", "sgd"] = "adam"
    lr: Positive = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of sgd
    weight_decay: NotNegative = 1e-4
    flips: bool = False
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    compile: bool = False
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    loader_workers: Annotated[int, Field(ge=0, le=256)] = 0

    options: SerializeAsAny[Options]  # of the method

    annotator_base_channels: Annotated[int, Field(ge=4, le=256)] = 64
    annotator_downs: Annotated[int, Field(ge=1, le=8)] | None = None
    annotator_steps: AtLeastOne = 10_000
    annotator_batch_size: AtLeastOne | None = None
    annotator_norm: Literal["batch", "instance"] | None = None
    annotator_lr: Annotated[Positive, Field(le=1)] = 2e-4
    annotator_l1_weight: NotNegative = 100.0
    annotator_threshold: Share | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, given: Any) -> Any:  # noqa: ANN401 (what is validated)
        """Take a method's options from among the other fields."""
        if not isinstance(given, dict) or "options" in given:
            return given
        if not isinstance(given.get("method"), str):
            return given
        known = cls.model_fields
        fields = {name: given[name] for name in given if name in known}
        options = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
            if name not in known and name != OWN_OPTIONS and value is not None
        }
        return {**fields, "options": known_method(given["method"]).options(**options)}

    @model_serializer(mode="wrap")
    def _flat(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = write(self)
        options = fields.pop("options", {})
        own = [name for name in options if name not in METHOD_OPTIONS]
        flat = {**fields, **dict.fromkeys(METHOD_OPTIONS), **options}
        return {**flat, OWN_OPTIONS: own} if own else flat

    def flat(self) -> dict[str, Any]:
        """Return all fields and options by name; None for those without a meaning."""
        names = run_fields([self])
        return dict(zip(names, self.values(names), strict=True))

    def values(self, names: Iterable[str]) -> tuple[Any, ...]:
        """Return fields, options and `supervision`; None for what isn't there."""
        names = tuple(names)
        every = {**self.__dict__, **plain(self.options)}
        if SUPERVISION in names:
            every[SUPERVISION] = self.supervision
        return tuple(map(every.get, names))

    def value(self, name: str) -> Any:  # noqa: ANN401 (a field of any type)
        """Return a field, an option or `supervision`; None for what isn't there."""
        if name == SUPERVISION:
            return self.supervision
        fields = self.__dict__
        return fields[name] if name in fields else getattr(self.options, name, None)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.digit_size is not None and self.digit_size > self.image_size:
            raise ValueError(
                f"digit_size {self.digit_size} is larger than image_size "
                f"{self.image_size}; the digit must fit into the image"
            )
        share = self.annotation_unit == "percent" and self.annotations != "all"
        if share and int(self.annotations) > 100:
            raise ValueError(
                f"annotations {self.annotations} with annotation_unit percent; "
                "1 to 100 or all is allowed"
            )
        return self

    @property
    def uses_annotator(self) -> bool:
        """Whether some training images get their mask from the pseudo-annotator."""
        return known_method(self.method).uses_masks and self.annotations != "all"

    @property
    def supervision(self) -> Supervision:
        """What the method is given beside images and labels."""
        return known_method(self.method).supervision

    @property
    def all_epochs(self) -> int:
        """The epochs of all stages: `epochs`, and those of an earlier stage."""
        return self.options.all_epochs(self.epochs)

    @property
    def has_small_digits(self) -> bool:
        """Whether digits are smaller than the image, at random places."""
        return self.digit_size not in (None, self.image_size)

    def canonical(self, *, uses_masks: bool | None = None) -> dict[str, Any]:
        """Return the fields that the result depends on, as plain JSON values.

        Paths are left out (the identities stand for what lies there), and so is what
        has no influence: the annotations of a method that uses no masks, the
        annotator's options where every training image has its true mask, `compile` of a
        method that can't be compiled. A field that is None is left out as well, and
        `compile` where it is off, so that a new option changes no older id.

        Whether its method uses masks may stand in a record; None: what is known here.
        """
        # Not by model_dump: tens of thousands of runs are planned at once.
        every = {**self.__dict__, **plain(self.options)}
        fields = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in every.items()
            if name not in (*PLACES, "options")
        }
        spec = known_method(self.method)
        for role in ("digit_textures", "background_textures"):
            if fields[role] is not None and fields[role] not in NAMED_SOURCES:
                fields[role] = "folder"
        if self.weights not in (None, "imagenet"):
            fields["weights"] = "file"
        if not (self.compile and spec.compiles):
            fields["compile"] = None
        masks = spec.uses_masks if uses_masks is None else uses_masks
        if not masks:
            fields["annotations"] = None
        if not masks or self.annotations == "all":
            for name in fields:
                if name.startswith(ANNOTATOR) or name == "annotation_unit":
                    fields[name] = None
        return {name: value for name, value in fields.items() if value is not None}


def run_fields(configs: Iterable[RunConfig]) -> tuple[str, ...]:
    """Return the names of the fields and options of runs, as they are written."""
    core = [name for name in RunConfig.model_fields if name != "options"]
    own = (name for config in configs for name in plain(config.options))
    return tuple(dict.fromkeys((*core, *METHOD_OPTIONS, *own)))


def config_id(config: RunConfig, *, uses_masks: bool | None = None) -> str:
    """Return 16 hex digits that stand for the run: the name of its folder.

    Two runs share an id exactly when they are the same run; paths, the device, the
    number of jobs and the executor don't enter. `uses_masks`: see `canonical`.
    """
    return canonical_digest(config.canonical(uses_masks=uses_masks))[:16]


SEED_PURPOSES = (
    *("data", "subset", "init", "order", "augment", "annotator"),
    "method",  # what a method draws besides its steps
)


def derive_seed(seed: int, purpose: str) -> int:
    """Return the seed of one of `SEED_PURPOSES`, in [0, 2**63), from a run's seed.

    Purposes never share a stream, and the methods of one seed are paired.
    """
    assert purpose in SEED_PURPOSES, purpose
    return int(canonical_digest({"seed": seed, "purpose": purpose})[:16], 16) >> 1


def describe_config(config: RunConfig, *, exact: bool = False) -> str:
    """Return a run in a few words: `ReFF, annotations 5, tex 0, seed 1`.

    `exact`: with the method's name in a grid, and the size of small digits.
    """
    as_named = exact or is_own(config.method)
    parts = [config.method if as_named else method_title(config.method)]
    parts.append(f"annotations {config.annotations}")
    randomness = (("bg", config.bg), ("tex", config.tex))
    parts += [f"{name} {value:g}" for name, value in randomness if value is not None]
    if exact and config.has_small_digits:
        parts.append(f"digits of {config.digit_size} px")
    if (weight := config.value("weight")) is not None:
        parts.append(f"weight {weight:g}")
    return ", ".join([*parts, f"seed {config.seed}"])


def describe_configs(configs: Sequence[RunConfig], *, exact: bool = False) -> list[str]:
    """Return each run in a few words, and what else tells those apart that share them.

    Such as `Baseline, annotations all, bg 0, tex 0, seed 1, lr 0.001`.
    """
    words = [describe_config(config, exact=exact) for config in configs]
    sharing: dict[str, list[int]] = {}
    for number, text in enumerate(words):
        sharing.setdefault(text, []).append(number)
    for numbers in sharing.values():
        same = [configs[number] for number in numbers]
        for name in run_fields(same) if len(same) > 1 else ():
            values = [config.value(name) for config in same]
            for number, value in zip(numbers, values, strict=True):
                is_setting = value is not None and not name.endswith("_identity")
                if is_setting and len({*values}) > 1:
                    words[number] += f", {name} {value}"
    return words


def read_config(path: Path) -> RunConfig:
    """Read a run that `RunConfig.model_dump_json` has written."""
    return RunConfig.model_validate_json(path.read_text(encoding="utf-8"))
