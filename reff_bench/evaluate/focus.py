"""How well a model's maps cover what is relevant: `measure_focus`."""

import torch
from torch import Tensor, nn

from reff_bench.catalog.options import STAGES
from reff_bench.data.split import Split
from reff_bench.evaluate.explanations import ATTENTION, GRADIENT, TARGETS, explain_batch
from reff_bench.metrics.focus import METRICS, FocusScores, focus_scores
from reff_bench.results.json_file import Fields

FOCUS_SAMPLES = 256
BATCH_SIZE = 32  # graphs of this many images fit into memory at 224 px
UNIFORM = "chance"
CHANCE_METRICS = ("epg", "off_mask_central_share")
HEADLINE = "stage4_label"
EXPLANATIONS = (
    *(f"{name}_{target}" for name in (*STAGES, GRADIENT) for target in TARGETS),
    ATTENTION,
)


def rows_with_mask(split: Split, rows: Tensor, count: int) -> Tensor:
    """Return the first of some rows whose true mask is there and isn't empty.

    Returns:
        (at most count,) int64.
    """
    found: list[Tensor] = []
    for some in torch.split(rows[split.annotated[rows]], max(1, count)):
        relevant = (split.source.read(some)[1] != 0).flatten(1).any(1)
        found.append(some[relevant])
        if sum(map(len, found)) >= count:
            break
    return torch.cat([rows[:0], *found])[:count]


def measure_focus(
    model: nn.Module,
    split: Split,
    rows: Tensor,
    device: torch.device | str = "cpu",
    batch_size: int = BATCH_SIZE,
) -> Fields:
    """Return the focus metrics of a model, means over some samples.

    They are named `<metric>_<explanation>`: the metrics are those of `FocusScores`, the
    explanations those of `explain_batch`; `<metric>_chance` is a uniform map's. A bare
    `<metric>` is the one to quote: of ABN's attention map where there is one, else of
    the last stage's Grad-CAM for the label. What a model lacks is None.

    Args:
        model: in evaluation mode.
        split: with masks.
        rows: (n,) int64 of samples whose mask isn't empty; may be none.
        device: where the model is.
        batch_size: the metrics don't depend on it beyond rounding.
    """
    parts: dict[str, list[FocusScores]] = {}
    for some in torch.split(rows, batch_size) if len(rows) else ():
        batch = split.get(some, device)
        maps = explain_batch(model, batch).maps
        maps[UNIFORM] = batch.mask.new_ones(len(batch), 1, 1)
        for name, one in maps.items():
            parts.setdefault(name, []).append(focus_scores(one, batch.mask))
    found = {name: FocusScores.join(several).means() for name, several in parts.items()}
    return {"focus_samples": len(rows), **_flat(found)}


def _flat(found: dict[str, dict[str, float | None]]) -> Fields:
    nothing: dict[str, float | None] = dict.fromkeys(METRICS)
    explanations = dict.fromkeys([*EXPLANATIONS, *found])
    explanations.pop(UNIFORM, None)
    headline = found.get(ATTENTION) or found.get(HEADLINE) or nothing
    chance = found.get(UNIFORM) or nothing
    return {
        **headline,
        **{f"{name}_chance": chance[name] for name in CHANCE_METRICS},
        **{
            f"{metric}_{name}": value
            for name in explanations
            for metric, value in (found.get(name) or nothing).items()
        },
    }
