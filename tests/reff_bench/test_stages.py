"""Runs with stages, groups and test-time masks: end to end, and stopped midway."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from reff_bench.catalog.methods import METHODS
from reff_bench.cost.operations import estimate_work
from reff_bench.data.opening import open_data
from reff_bench.evaluate.checkpoint import evaluate_run
from reff_bench.grid.config import GridError, RunConfig
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid
from reff_bench.identity.configs import identify_configs
from reff_bench.methods.jtt import jtt
from reff_bench.methods.method import Training, TrainingImages
from reff_bench.models.backbone import build_backbone
from reff_bench.results.run import RunError, RunProgress
from reff_bench.train.checkpoint import load_checkpoint
from reff_bench.train.schedule import plan_epoch
from tests.reff_bench.small import (
    StopNowError,
    build_folder,
    check_resumes,
    folder_of,
    lasting,
    same,
    small_config,
    train,
)
from tests.reff_bench.trees import make_pets

pytestmark = pytest.mark.usefixtures("every_report")
PUBLISHED = tuple(METHODS)[list(METHODS).index("rrr") :]


def grouped(method: str, **fields: Any) -> RunConfig:
    """A run whose data have counter-examples."""
    given = {"bg": 0.5, "train": 48, "val": 120, "annotations": "all"}
    return small_config(method, **given | fields)


@pytest.mark.parametrize("method", PUBLISHED)
def test_each_published_method_runs_to_its_metrics(method: str, tmp_path: Path) -> None:
    few = {"regularization": (0.3,), "refits": 2} if method == "dfr" else {}
    config = grouped(method, epochs=1, **few)
    record, weights = train(config, tmp_path)
    assert record["supervision"] == METHODS[method].supervision
    # What is deployed is the backbone alone, whatever was trained beside it.
    assert weights.keys() == build_backbone("resnet_small", 10).state_dict().keys()
    folder = folder_of(tmp_path, config)
    metrics = evaluate_run(config, folder, device="cpu")
    assert metrics["val_accuracy"] == pytest.approx(record["val_accuracy"])
    if method == "mask_input":  # only the digit is seen
        assert metrics["flip_rate"] == 0
        assert metrics["background_gap"] == 0


# After how many steps, of 3 an epoch; JTT: 1 epoch, then 2 others; else: 2 epochs.
STOPS = {
    **{"jtt": (1, 3, 4), "lff": (2,), "group_dro": (4,), "r4": (2,)},
    **{"background_swap": (1, 3), "abn": (5,)},
}


@pytest.mark.parametrize("method", STOPS)
def test_a_run_stopped_in_any_stage_ends_alike(method: str, tmp_path: Path) -> None:
    config = grouped(method, optimizer="sgd", momentum=0.9)
    check_resumes(config, tmp_path, *STOPS[method])


def test_a_refit_that_is_stopped_begins_again_from_the_trained_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = grouped("dfr", epochs=1, regularization=(0.3,), refits=2)
    record, weights = train(config, tmp_path / "unbroken")
    with monkeypatch.context() as patch:
        # Stopped where the head is about to be written.
        stop = Mock(side_effect=StopNowError)
        patch.setattr("reff_bench.methods.dfr.balanced_rows", stop)
        with pytest.raises(StopNowError):
            train(config, tmp_path)
    left = load_checkpoint(folder_of(tmp_path, config) / "checkpoint.pt")
    assert (left.position.epoch, left.optimizer is None) == (1, False)
    reports: list[RunProgress] = []
    again, found = train(config, tmp_path, report=reports.append)
    assert "training" not in {one.stage for one in reports}
    assert same(found, weights)
    assert lasting(again) == lasting(record)
    changed = [name for name in found if not torch.equal(found[name], left.model[name])]
    assert changed == ["fc.weight", "fc.bias"]


def test_jtt_begins_its_second_stage_from_the_first_weights(tmp_path: Path) -> None:
    config = grouped("jtt", epochs=2, first_share=0.5)
    record, _ = train(config, tmp_path)
    assert len(record["history_loss"]) == config.all_epochs == 3
    assert 0 < record["jtt_errors"] <= 48
    assert "notes" not in record
    plain = small_config("baseline", bg=0.5, train=48, val=120)
    assert count_steps(config) == pytest.approx(1.5 * count_steps(plain))


def count_steps(config: RunConfig) -> float:
    """The training steps that a run is planned with."""
    work = estimate_work(config).operations
    return sum(count for one, count in work.items() if one.kind == "train")


def test_without_an_error_the_record_of_jtt_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = torch.zeros(48, dtype=torch.bool)
    monkeypatch.setattr("reff_bench.methods.jtt._find_errors", lambda _: nothing)
    record, _ = train(grouped("jtt", epochs=1), tmp_path)
    assert record["jtt_errors"] == 0
    (note,) = record["notes"]
    assert note.startswith("JTT: the first stage of 1 epochs made no error")


def test_the_errors_of_jtt_are_those_of_the_model() -> None:
    config = grouped("jtt", epochs=1)
    data = open_data(config, None)
    train_split = data.splits["train"]
    images = TrainingImages(train_split.labels, train_split.groups, 10, 20)
    model = build_backbone("resnet_small", 10, seed=0).eval()
    method = jtt()
    state = method.build_state(config, images, 0)
    restart = Mock()
    given = (config, model, state, data.splits, images)
    training = Training(*given, torch.device("cpu"), restart)
    assert method.before_epoch is not None
    assert method.sampling is not None
    assert method.before_epoch(training, 0) == {}
    found = method.before_epoch(training, 1)
    with torch.no_grad():
        batch = train_split.get(range(48))
        wrong = model(batch.image).logits.argmax(1) != batch.label
    assert found == {"jtt_errors": int(wrong.sum())}
    restart.assert_called_once_with()
    weights = method.sampling(config, images, state)
    assert weights is not None
    assert torch.equal(weights, torch.where(wrong, 20.0, 1.0).double())


def test_dfr_says_what_it_was_fitted_on(tmp_path: Path) -> None:
    config = grouped("dfr", epochs=1, regularization=(1.0, 0.1), refits=2)
    record, _ = train(config, tmp_path)
    assert record["dfr_regularization"] in (1.0, 0.1)
    groups = open_data(config, None).splits["val"].groups
    sizes = torch.bincount(groups, minlength=20)
    smallest = -(-int(sizes[sizes > 0].min()) // 2)
    count = int((sizes > 0).sum())
    assert record["dfr_images"] == smallest * count
    said = f"fitted on, by a fit {smallest} of each of their {count} groups"
    assert f"DFR: half of the validation images were {said}" in record["notes"]


def test_an_epoch_of_weighted_draws_keeps_its_length() -> None:
    weights = torch.tensor([0.0] * 20 + [1.0] * 20 + [3.0] * 10).double()

    def drawn(epoch: int) -> Tensor:
        return torch.cat(plan_epoch(small_config(), 50, epoch, weights).batches)

    assert len(drawn(0)) == len(drawn(1)) == 50
    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    many = torch.cat([drawn(epoch) for epoch in range(99)])
    shares = torch.bincount(many, minlength=50) / len(many)
    assert shares[:20].max() == 0
    assert float(shares[40:].sum()) == pytest.approx(0.6, abs=0.02)


def test_missing_groups_are_in_the_record(tmp_path: Path) -> None:
    config = grouped("group_balanced", bg=0.3, epochs=1)
    groups = open_data(config, None).splits["train"].groups
    missing = 20 - len({*groups.tolist()})
    assert missing > 0
    record, _ = train(config, tmp_path)
    expected = f"{missing} of 20 groups have no image in the split train"
    assert record["notes"] == [f"Group-balanced: {expected}"]


@pytest.mark.parametrize(("method", "split"), [("group_dro", "train"), ("dfr", "val")])
def test_a_run_needs_counter_examples(method: str, split: str, tmp_path: Path) -> None:
    config = grouped(method, bg=1e-6)
    with pytest.raises(RunError, match=f"in the split {split} every class is a single"):
        train(config, tmp_path)


GRID = """
data: {bg: 0, tex: 0, digits: embedded, textures: embedded, train: 90, image_size: 28}
axes: {method: [baseline, group_dro]}
training: {backbone: resnet_small}
"""


def test_without_counter_examples_groups_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(GRID)
    with pytest.raises(GridError, match="group_dro needs groups, and with bg 0 there"):
        expand(load_grid(path))
    assert len(expand(load_grid(path, ["bg=0.1"]))) == 2
    build_folder(tmp_path / "tm", train=8)
    path.write_text(
        f"data: {{root: {tmp_path / 'tm'}}}\naxes: {{method: [group_balanced]}}\n"
    )
    with pytest.raises(GridError, match=r"tm: group_balanced needs groups, and with"):
        identify_configs(expand(load_grid(path)), data_root=None, cache_dir=None)
    make_pets(tmp_path)  # whose groups are its classes
    path.write_text(
        f"data: {{kind: pets, root: {tmp_path}}}\naxes: {{method: [dfr]}}\n"
    )
    with pytest.raises(GridError, match="dfr needs groups, and pets has none but its"):
        identify_configs(expand(load_grid(path)), data_root=None, cache_dir=None)
