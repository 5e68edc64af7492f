"""The options of the methods: a model of each method's."""

from typing import Annotated, Literal

from pydantic import Field

from reff_bench.catalog.option import NotNegative, Option, Options, Positive, Share

Stage = Literal["stage1", "stage2", "stage3", "stage4"]
STAGES: tuple[Stage, ...] = ("stage1", "stage2", "stage3", "stage4")


def _method(mark: str, meaning: str, paper: str | int | None = None) -> Option:
    return Option("method", mark, meaning, paper)


# method.md 3
Weight = Annotated[NotNegative, _method("assumed", "weight of the penalty")]
Warmup = Annotated[Share, _method("ours", "share of the steps over which it rises")]
Stages = Annotated[tuple[Stage, ...], Field(min_length=1)]
Layers = Annotated[Stages, _method("assumed", "layers of the Grad-CAMs")]
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

# Of the methods that others published. Ranges in the words: settings seen in papers
# and public code.
PositiveShare = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1000)]
Radius = Annotated[
    Positive,
    _method("other", "how far a pixel is moved, in normalized units (0.1 to 1)"),
]
AttackSteps = Annotated[Count, _method("other", "steps of the attack (5 to 10)")]
Samples = Annotated[Count, _method("assumed", "points tried around an image")]
Balancing = Literal["resample", "subsample"]
Balance = Annotated[
    Balancing, _method("other", "small groups drawn more often, or large ones cut down")
]
GroupStep = Annotated[
    Positive, _method("other", "step size of the groups' weights (0.001 to 0.1)")
]
BalancedBatches = Annotated[bool, _method("other", "batches of equal group shares")]
FirstShare = Annotated[
    PositiveShare,
    _method("other", "length of the first stage, share of epochs (0.2 to 0.5)"),
]
Upweight = Annotated[
    float,
    Field(ge=1, allow_inf_nan=False),
    _method("other", "weight of the first stage's errors (10 to 100)"),
]
Refits = Annotated[Count, _method("other", "refits that are averaged (10 to 20)")]
Regularization = Annotated[
    tuple[Positive, ...],
    Field(min_length=1),
    _method("other", "inverse strengths of L1 that are tried"),
]
GceQ = Annotated[
    PositiveShare,
    _method("other", "exponent of the biased network's loss (0.05 to 0.95)"),
]
LossMemory = Annotated[
    float,
    Field(ge=0, lt=1, allow_inf_nan=False),
    _method("other", "memory of an image's running loss"),
]


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


class L1Options(DifferenceOptions):
    """ReFF (L1)."""

    weight: Weight = 300.0


class AbnPlainOptions(Options):
    """ABN without a map loss."""

    map_kernel: MapKernel = 3
    multiplicative_only: MultiplicativeOnly = False


class AbnOptions(AbnPlainOptions):
    """ABN."""

    weight: Weight = 100_000.0
    warmup: Warmup = 0.5
    pooling: Pooling = "area"


class SwapOptions(Options):
    """Background swap."""

    swap_probability: SwapProbability = 0.5


class RrrOptions(Options):
    """RRR: the weights seen are 10 to 1000, under other reductions [other]."""

    weight: Weight = 10.0
    warmup: Warmup = 0.0


class RrrGOptions(Options):
    """RRR-G: the weights seen are 0.1 to 10."""

    weight: Weight = 1.0
    warmup: Warmup = 0.0
    layers: Layers = ("stage4",)
    pooling: Pooling = "max"


class EnergyOptions(Options):
    """Energy loss: the weights seen are 5e-4 to 1."""

    weight: Weight = 1.0
    warmup: Warmup = 0.0
    layers: Layers = ("stage4",)
    pooling: Pooling = "area"


class HintOptions(EnergyOptions):
    """HINT: the weights seen are 1e-5 to 100."""


class TapOptions(Options):
    """Targeted activation penalty: the weights seen are 1e-5 to 0.1."""

    weight: Weight = 1e-3
    warmup: Warmup = 0.0
    layers: Layers = STAGES
    pooling: Pooling = "max"


class PgdExOptions(Options):
    """PGD-Ex."""

    weight: Weight = 1.0
    warmup: Warmup = 0.0
    radius: Radius = 0.3
    attack_steps: AttackSteps = 5


class R4Options(Options):
    """R4, by samples: the weights seen are 5e-4 to 1e4."""

    weight: Weight = 1.0
    warmup: Warmup = 0.0
    radius: Radius = 0.1
    samples: Samples = 3


class GroupBalancedOptions(Options):
    """Batches of equal group shares."""

    balance: Balance = "resample"


class GroupDroOptions(Options):
    """GroupDRO."""

    group_step: GroupStep = 0.01
    balanced_batches: BalancedBatches = True


class JttOptions(Options):
    """JTT, whose first stage comes on top of the run's epochs."""

    first_share: FirstShare = 0.3
    upweight: Upweight = 20.0

    def first_epochs(self, epochs: int) -> int:
        """Return the epochs of the first stage, one or more."""
        return max(1, round(self.first_share * epochs))

    def all_epochs(self, epochs: int) -> int:
        """Return the epochs of both stages."""
        return self.first_epochs(epochs) + epochs


class DfrOptions(Options):
    """DFR."""

    refits: Refits = 10
    regularization: Regularization = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)


class LffOptions(Options):
    """LfF."""

    gce_q: GceQ = 0.7
    loss_memory: LossMemory = 0.7


class AnyOptions(ReffOptions, AbnPlainOptions, SwapOptions):
    """For a method of the user's own that lists none: those of ReFF, ABN and swap."""

    weight: Weight = 1.0
    normalization: Normalization = "max"
