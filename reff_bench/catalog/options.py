"""The options of the methods: what each is, its mark, a model of them per method."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

Stage = Literal["stage1", "stage2", "stage3", "stage4"]
STAGES: tuple[Stage, ...] = ("stage1", "stage2", "stage3", "stage4")
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Option(NamedTuple):
    """What an option is, written beside its type: `Annotated[float, Option(...)]`.

    Attributes:
        group: `data`, `training`, `method` or `annotator`.
        mark: of its default: `paper` said in the supplement; `assumed` our choice where
            the paper's words are lost; `other` read in another public source; `ours`
            of a method or network of our own; `user` of a user's own.
        meaning: in words, as Tab. 4 shows it.
        paper: what the paper (or the public source) uses, where it is known.
    """

    group: str
    mark: str
    meaning: str
    paper: str | int | float | None = None


class Options(BaseModel):
    """The options of a method, each with its default: a subclass lists them.

    Examples:
        >>> from reff_bench import Options
        >>> class SmoothingOptions(Options):
        ...     smoothing: float = 0.1
        >>> SmoothingOptions(smoothing=0.3)
        SmoothingOptions(smoothing=0.3)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class UnknownOptions(Options):
    """Options of a user's own method that isn't at hand: kept as they were written."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def __hash__(self) -> int:
        """Hash what was written."""
        return hash(self.model_dump_json())


def _method(mark: str, meaning: str, paper: str | int | None = None) -> Option:
    return Option("method", mark, meaning, paper)


# method.md 3
Weight = Annotated[NotNegative, _method("assumed", "weight of the penalty")]
Warmup = Annotated[Share, _method("ours", "share of the steps over which it rises")]
Layers = Annotated[
    tuple[Stage, ...],
    Field(min_length=1),
    _method("assumed", "layers of the Grad-CAMs"),
]
Target = Annotated[
    Literal["label", "predicted"], _method("assumed", "class that is explained")
]
Score = Annotated[
    Literal["logit", "margin", "log_probability"],
    _method("assumed", "score that is explained"),
]
Sign = Annotated[
    Literal["relu", "abs", "none"],
    _method("paper", "sign of the evidence kept", "relu"),
]
Normalization = Annotated[
    Literal["max", "none", "sum"], _method("assumed", "normalization of a map")
]
Norm = Annotated[Literal["rms", "squared", "l1"], _method("assumed", "norm over a map")]
Pooling = Annotated[
    Literal["max", "area"], _method("assumed", "how a mask is made smaller")
]
DetachWeights = Annotated[bool, _method("assumed", "no gradient through Eq. 1")]
CamBn = Annotated[
    Literal["train", "eval"], _method("assumed", "BatchNorm in the explained pass")
]
CamPrecision = Annotated[
    Literal["float32", "bfloat16"], _method("assumed", "arithmetic of the maps")
]
# method.md 5 and 10
MapKernel = Annotated[Literal[1, 3], _method("other", "kernel of ABN's map head", 3)]
MultiplicativeOnly = Annotated[bool, _method("other", "ABN without 1 +")]
SwapProbability = Annotated[Share, _method("assumed", "share of swapped images")]


class ReffOptions(Options):
    """ReFF: the defaults are the pilot's choice (docs/pilot.md)."""

    weight: Weight = 300.0
    warmup: Warmup = 0.5
    layers: Layers = STAGES
    target: Target = "label"
    score: Score = "logit"
    sign: Sign = "relu"
    normalization: Normalization = "none"
    norm: Norm = "rms"
    pooling: Pooling = "max"
    detach_weights: DetachWeights = False
    cam_bn: CamBn = "train"
    cam_precision: CamPrecision = "float32"


class ReffPlusOptions(ReffOptions):
    """ReFF+: ReFF with |.| in place of Eq. 2's ReLU, of the margin."""

    weight: Weight = 10.0
    score: Score = "margin"
    sign: Sign = "abs"
    normalization: Normalization = "max"


class DifferenceOptions(Options):
    """ReFF (L1) and ReFF (L2), whose maps are on the scale of the mask in [0, 1]."""

    weight: Weight = 0.1
    warmup: Warmup = 0.5
    layers: Layers = STAGES
    target: Target = "label"
    score: Score = "logit"
    sign: Sign = "relu"
    normalization: Normalization = "max"
    pooling: Pooling = "area"
    detach_weights: DetachWeights = False
    cam_bn: CamBn = "train"
    cam_precision: CamPrecision = "float32"


class AbnPlainOptions(Options):
    """ABN without a map loss."""

    map_kernel: MapKernel = 3
    multiplicative_only: MultiplicativeOnly = False


class AbnOptions(AbnPlainOptions):
    """ABN."""

    weight: Weight = 10.0
    warmup: Warmup = 0.5
    pooling: Pooling = "area"


class SwapOptions(Options):
    """Background swap."""

    swap_probability: SwapProbability = 0.5


class AnyOptions(ReffOptions, AbnPlainOptions, SwapOptions):
    """For a method of the user's own that lists none: all that ours have."""

    weight: Weight = 1.0
    normalization: Normalization = "max"


def option_of(field: FieldInfo, name: str) -> Option:
    """Return what an option is; one without an `Option` is described by its name."""
    found = [one for one in field.metadata if isinstance(one, Option)]
    return found[0] if found else Option("method", "user", field.description or name)


def options_with(kinds: Mapping[str, type[Options]]) -> dict[str, FieldInfo]:
    """Return the fields of several methods' options, each name once.

    Args:
        kinds: by method; the first that has a name says what it is.
    """
    fields: dict[str, FieldInfo] = {}
    for kind in kinds.values():
        for name, field in kind.model_fields.items():
            fields.setdefault(name, field)
    return fields


def plain(options: Options) -> dict[str, Any]:
    """Return options by name, tuples as they are."""
    return {**options.__dict__, **(options.__pydantic_extra__ or {})}
