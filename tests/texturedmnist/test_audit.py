import json
import shutil
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import mutual_info_score

from tests.texturedmnist.conftest import Planner
from tests.texturedmnist.tree import EMBEDDED, edit_manifest, write_textures
from texturedmnist.audit import AuditReport, audit, chance, format_report
from texturedmnist.generate import run_build
from texturedmnist.manifest import DatasetError

CLASSES = [f"class{number:02d}" for number in range(30)]  # 10 digit, 20 background
Maker = Callable[..., Path]
Found = tuple[str, str, str]  # check, split, texture


@pytest.fixture(scope="session")
def make(plan: Planner, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    root = tmp_path_factory.mktemp("audit")
    write_textures(root / "textures", CLASSES, 6)
    textures = dict.fromkeys(EMBEDDED, str(root / "textures")) | {"digits": "embedded"}
    sizes = {"train": 400, "val": 150, "test": 200}

    def build(name: str, shard_size: int = 2000, **fields: Any) -> Path:
        run_build(plan(root / name, shard_size, **(textures | sizes | fields)))
        return root / name

    return build


@pytest.fixture(scope="session")
def between(make: Maker) -> Path:
    return make("between", 100, bg=0.3, tex=0.5, val_shifted=True)


@pytest.fixture(scope="session")
def report(between: Path) -> AuditReport:
    return audit(between)


@pytest.fixture(scope="session")
def assigned(make: Maker) -> Path:
    return make("assigned", bg=0, tex=0, test_bg=0)


@pytest.fixture(scope="session")
def free(make: Maker) -> Path:
    return make("free", bg=1, tex=1)


@pytest.fixture
def few_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate less: p-values below 1 % are still found with enough tables."""
    monkeypatch.setattr(chance, "TABLES", 99)


@pytest.fixture
def copy(between: Path, tmp_path: Path, few_tables: None) -> Path:
    return Path(shutil.copytree(between, tmp_path / "copy"))


@pytest.fixture
def free_copy(free: Path, tmp_path: Path, few_tables: None) -> Path:
    return Path(shutil.copytree(free, tmp_path / "copy"))


def first_shard(folder: Path, split: str) -> Path:
    return min(folder.glob(f"{split}-0*.h5"))


def read(folder: Path, split: str, column: str) -> NDArray[Any]:
    """Read a column of a split's first shard."""
    with h5py.File(first_shard(folder, split), "r") as file:
        values: NDArray[Any] = file[column][()]
        return values


def write(folder: Path, split: str, column: str, where: object, values: object) -> None:
    """Change a column of a split's first shard."""
    with h5py.File(first_shard(folder, split), "r+") as file:
        column_values = file[column][()]
        column_values[where] = values
        file[column][...] = column_values


def failures(report: AuditReport) -> set[Found]:
    assert report.passed == (not report.failed)
    return {(check.name, check.split, check.texture) for check in report.failed}


def train_files(folder: Path, classes: NDArray[Any]) -> NDArray[np.int64]:
    """A background file of train for each class: the first numbers are train's."""
    with h5py.File(first_shard(folder, "train"), "r") as file:
        names = file["background_texture_files"].asstr()[()]
        known = file["background_texture_classes"].asstr()[()]
    first = {name.split("/")[0]: k for k, name in reversed(list(enumerate(names)))}
    return np.array([first[known[number]] for number in classes])


def test_sound_datasets_pass(report: AuditReport, assigned: Path, free: Path) -> None:
    for sound in (report, audit(assigned), audit(free)):
        assert sound.passed, format_report(sound)
        assert {check.verdict for check in sound.checks} == {"passed", "note"}


@pytest.mark.parametrize("sizes", [(1, 0, 0), (12, 1, 2), (30, 10, 10), (0, 3, 0)])
def test_a_handful_of_samples_gives_no_false_alarm(
    make: Maker, sizes: tuple[int, int, int], few_tables: None
) -> None:
    counts = dict(zip(("train", "val", "test"), sizes, strict=True))
    shifted = counts["val"] > 2
    folder = make(f"few{sizes}", bg=0.5, tex=1, val_shifted=shifted, **counts)
    assert failures(audit(folder)) == set()


def test_the_report_is_plain_json_and_its_groups_add_up(report: AuditReport) -> None:
    fields = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert fields["passed"] is True
    assert len(fields["checks"]) == len(report.checks)
    assert fields["randomness"]["val_shifted"] == {"bg": 1.0, "tex": 0.5}
    for split, count in report.counts.items():
        groups = [group for group in report.groups if group.split == split]
        assert len(groups) == 40
        assert sum(group.count for group in groups) == count


def test_the_text_fits_and_says_the_result(report: AuditReport, copy: Path) -> None:
    text = format_report(report)
    assert max(map(len, text.splitlines()[1:])) <= 88
    assert text.splitlines()[-1].startswith("PASSED")
    for name in ("Share of", "Bits", "chi-square", "background only"):
        assert name in text
    flag = read(copy, "train", "background_aligned")[0]
    write(copy, "train", "background_aligned", 0, 1 - flag)
    bad = format_report(audit(copy))
    assert "FAILED: 1 of" in bad
    assert "1 aligned flags disagree with the assignment" in bad
    assert max(map(len, bad.splitlines()[1:])) <= 88


def like(folder: Path, split: str, column: str) -> int:
    """Return a sample of a split, its second, with the value of train's first."""
    value = read(folder, "train", column)[0]
    return int(np.flatnonzero(read(folder, split, column) == value)[1])


def take_from_test(folder: Path, column: str, same: str) -> None:
    """Give train's first sample a value from test, of one with an equal column."""
    value = read(folder, "test", column)[like(folder, "test", same)]
    write(folder, "train", column, 0, value)


def turn_flag(folder: Path, name: str) -> None:
    write(folder, "train", name, 7, 1 - read(folder, "train", name)[7])


def take_anothers_file(folder: Path) -> None:
    other = (read(folder, "train", "background_texture")[:1] + 1) % 20
    file = train_files(folder, other)[0]
    write(folder, "train", "plan/background_texture_file", 0, file)


def take_anothers_digit(folder: Path) -> None:
    label = read(folder, "train", "label")
    other = np.flatnonzero(label != label[0])[0]
    write(folder, "train", "plan/digit", 0, read(folder, "train", "plan/digit")[other])


def move_in_group_table(folder: Path) -> None:
    def move(manifest: dict[str, Any]) -> None:
        groups = manifest["splits"]["test"]["groups"]
        first, second = list(groups)[:2]  # their sum, which is checked when it is read
        groups[first], groups[second] = groups[first] + 1, groups[second] - 1

    edit_manifest(folder, move)


def draw_otherwise(folder: Path) -> None:
    untied = np.flatnonzero(read(folder, "train", "digit_aligned") == 0)[0]
    write(folder, "train", "plan/tex_draw", untied, 0.9)


def draw_below(folder: Path) -> None:
    draws = read(folder, "train", "plan/bg_draw")
    write(folder, "train", "plan/bg_draw", np.flatnonzero(draws >= 0.3)[:70], 0.1)


def shift_a_digit(folder: Path) -> None:
    label = read(folder, "val", "label")
    digit = read(folder, "val", "plan/digit")[np.flatnonzero(label == label[0])[1]]
    write(folder, "val_shifted", "plan/digit", 0, digit)


def shift_a_draw(folder: Path) -> None:
    draw = read(folder, "val", "plan/bg_draw")[0]
    write(folder, "val_shifted", "plan/bg_draw", 0, draw / 2)


ROLES = {"digit": "digit texture", "background": "background"}
DAMAGES: dict[Found, Callable[[Path], object]] = {
    ("digits apart", "train / test", ""): partial(
        take_from_test, column="plan/digit", same="label"
    ),
    **{
        ("texture files apart", "train / test", name): partial(
            take_from_test, column=f"plan/{role}_texture_file", same=f"{role}_texture"
        )
        for role, name in ROLES.items()
    },
    **{
        ("aligned flags", "train", name): partial(turn_flag, name=f"{role}_aligned")
        for role, name in ROLES.items()
    },
    ("files of class", "train", "background"): take_anothers_file,
    ("one label per digit", "all", ""): take_anothers_digit,
    ("group table", "test", ""): move_in_group_table,
    ("choice follows draw", "train", "digit texture"): draw_otherwise,
    ("draws below the randomness", "train", "background"): draw_below,
    ("one list of names", "all", ""): lambda folder: write(
        folder, "val", "background_texture_files", 0, "class10/another.png"
    ),
    ("same digits", "val / val_shifted", ""): shift_a_digit,
    ("same choices", "val / val_shifted", "background"): shift_a_draw,
}


@pytest.mark.parametrize("found", DAMAGES, ids=" ".join)
def test_what_is_wrong_is_found(copy: Path, found: Found) -> None:
    DAMAGES[found](copy)
    assert failures(audit(copy)) == {found}


def test_what_a_shard_can_not_hold_is_refused_when_it_is_opened(copy: Path) -> None:
    write(copy, "val", "index", 3, 5)
    with pytest.raises(DatasetError, match="has values of index that it can't have"):
        audit(copy)


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("plan/digit", -1, ("labels in range", "train", "")),
        ("plan/digit_texture_file", 60, ("numbers in range", "train", "digit texture")),
        ("plan/bg_draw", np.nan, ("numbers in range", "train", "background")),
    ],
)
def test_a_number_out_of_range_ends_the_audit(
    copy: Path, column: str, value: float, found: Found
) -> None:
    write(copy, "train", column, 0, value)
    report = audit(copy)
    assert failures(report) == {found}
    assert "Nothing more can be checked" in format_report(report)
    assert report.groups == ()


def test_a_texture_that_changes_its_role_between_splits_is_found(copy: Path) -> None:
    name = ""
    for path in sorted(copy.glob("*.h5")):
        with h5py.File(path, "r+") as file:
            used = read(copy, "test", "plan/background_texture_file")[0]
            number = read(copy, "train", "plan/digit_texture_file")[0]
            name = file["digit_texture_files"].asstr()[number]
            file["background_texture_files"][used] = name
    assert "textures apart across roles" not in {n for n, _, _ in failures(audit(copy))}
    edit_manifest(copy, lambda m: m["recipe"].update(EMBEDDED))
    crossed = ("textures apart across roles", "train / test", "")
    assert failures(audit(copy)) == {crossed, ("files of class", "test", "background")}


def test_a_background_that_tells_the_label_at_randomness_1_is_found(copy: Path) -> None:
    edit_manifest(copy, lambda m: m["recipe"].update(bg=1.0))
    found = failures(audit(copy))
    names = ("unassigned classes by label", "information, by chance")
    for name in ("unassigned classes", *names):
        assert (name, "train", "background") in found
    assert {texture for _, _, texture in found} == {"background"}
    splits = {split for _, split, _ in found}
    assert splits == {"train", "val", "val / val_shifted"}


def test_free_classes_that_depend_on_the_label_are_found(free_copy: Path) -> None:
    label = read(free_copy, "train", "label").astype(np.int64)
    untied = read(free_copy, "train", "background_aligned") == 0
    # Digit d's classes are the d-th and the (10 + d)-th: take the next digit's.
    number = (label + 1) % 10 + 10 * (np.arange(len(label)) // 3 % 2)
    write(free_copy, "train", "background_texture", untied, number[untied])
    files = train_files(free_copy, number)
    write(free_copy, "train", "plan/background_texture_file", untied, files[untied])
    found = {("information, by chance", "train", "background")}
    assert failures(audit(free_copy)) == found


def test_free_classes_that_are_not_uniform_are_found(free_copy: Path) -> None:
    number = read(free_copy, "train", "background_texture") % 10
    write(free_copy, "train", "background_texture", slice(None), number)
    files = train_files(free_copy, number)
    write(free_copy, "train", "plan/background_texture_file", slice(None), files)
    found = {("free classes uniform", "train", "background")}
    assert failures(audit(free_copy)) == found


def test_one_untied_class_at_randomness_0_is_found(
    assigned: Path, tmp_path: Path, few_tables: None
) -> None:
    copy = Path(shutil.copytree(assigned, tmp_path / "copy"))
    number = (read(copy, "train", "background_texture") + 1) % 20
    write(copy, "train", "background_texture", 0, number[0])
    found = failures(audit(copy))
    for name in ("choice follows draw", "class names the label", "unassigned classes"):
        assert (name, "train", "background") in found
    assert {texture for _, _, texture in found} == {"background", ""}  # "": the groups


def test_mutual_information_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    label, number = rng.integers(0, 10, 500), rng.integers(0, 7, 500)
    number[label > 6] = 3
    table = np.zeros((10, 9), np.int64)  # with two empty columns
    np.add.at(table, (label, number), 1)
    bits = mutual_info_score(label, number) / np.log(2)
    assert chance.mutual_information(table) == pytest.approx(bits, abs=1e-12)
    both = chance.mutual_information(np.stack([table, table.T.reshape(10, 9)]))
    assert both.shape == (2,)


def test_entropy_left_and_unevenness_are_scipys() -> None:
    counts = np.array([3, 9, 4, 0, 14])
    assert chance.unevenness(counts) == pytest.approx(stats.chisquare(counts).statistic)
    table = np.array([[5, 0, 3], [0, 7, 3]])
    entropy = stats.entropy(table.sum(axis=1), base=2)
    left = entropy - float(chance.mutual_information(table))
    assert chance.conditional_entropy(table) == pytest.approx(left, abs=1e-12)
    assert chance.conditional_entropy(np.array([[5, 0, 3], [0, 7, 0]])) == 0


def test_shuffled_tables_are_those_of_explicit_permutations() -> None:
    rng = np.random.default_rng(2)
    label, number = rng.integers(0, 4, 60), rng.integers(0, 5, 60) // 2
    table = np.zeros((5, 4), np.int64)  # with an empty row and an empty column
    np.add.at(table, (label, number), 1)
    shuffled = np.zeros((3000, 5, 4), np.int64)
    for k in range(len(shuffled)):
        np.add.at(shuffled[k], (label, rng.permutation(number)), 1)
    explicit = chance.mutual_information(shuffled)
    sampled = chance.permute_table(table, rng)(3000)
    assert stats.ks_2samp(explicit, sampled).pvalue > 0.001


def test_tables_drawn_with_known_chances_are_those_of_drawn_samples() -> None:
    rng = np.random.default_rng(3)
    rows = np.array([20, 0, 40])
    chances = np.array([[0.6, 0.2, 0.2], [1, 0, 0], [0.1, 0.1, 0.8]])
    tables = np.zeros((3000, 3, 3), np.int64)
    for row in range(3):
        drawn = rng.choice(3, (3000, rows[row]), p=chances[row])
        tables[:, row] = (drawn[:, :, None] == np.arange(3)).sum(axis=1)
    sampled = chance.draw_table(rows, chances, rng)(3000)
    assert stats.ks_2samp(chance.mutual_information(tables), sampled).pvalue > 0.001


@pytest.mark.parametrize("found", [0, 17, 40, 60])
@pytest.mark.parametrize("rate", [0.3, 0.5])
def test_the_bound_of_one_rate_is_scipys(found: int, rate: float) -> None:
    bound = chance.bound_count(found, [60], [rate], 0.01)
    law = stats.binom(60, rate)
    assert (bound.low, bound.high) == (law.ppf(0.005), law.isf(0.005))
    twice = min(1, 2 * min(law.cdf(found), law.sf(found - 1)))
    assert bound.p_value == pytest.approx(twice, rel=1e-6, abs=1e-15)
    if rate == 0.5:
        exact = stats.binomtest(found, 60, rate).pvalue
        assert bound.p_value == pytest.approx(exact, rel=1e-6, abs=1e-15)


def test_the_bound_of_several_rates_is_that_of_the_sum() -> None:
    trials, chances = [30, 20, 10], [0.2, 0.5, 0.2]
    mass = np.ones(1)
    for count, rate in zip(trials, chances, strict=True):
        more = stats.binom.pmf(np.arange(count + 1), count, rate)
        mass = np.convolve(mass, more)
    bound = chance.bound_count(25, trials, chances, 0.01)
    low, high = int(bound.low), int(bound.high)
    assert mass[:low].sum() <= 0.005 < mass[: low + 1].sum()
    assert mass[high + 1 :].sum() <= 0.005 < mass[high:].sum()
    assert bound.p_value == pytest.approx(2 * mass[25:].sum())
    assert bound.mean == pytest.approx(18)


@pytest.mark.parametrize(("rate", "only"), [(0.0, 0), (1.0, 50)])
def test_a_certain_outcome_leaves_no_range(rate: float, only: int) -> None:
    bound = chance.bound_count(only, [50], [rate], 0.01)
    assert (bound.low, bound.high, bound.p_value) == (only, only, 1)
    assert chance.bound_count(25, [50], [rate], 0.01).p_value == 0


def test_more_is_drawn_only_in_doubt_and_enough_for_the_level() -> None:
    rng, drawn = np.random.default_rng(4), [0]

    def sample(count: int) -> NDArray[np.float64]:
        drawn[0] += count
        return rng.random(count)

    usual = chance.bound_value(0.5, sample, 1e-4, two_sided=True)
    assert drawn == [chance.TABLES]
    assert usual.p_value > 0.9
    assert (usual.low, usual.high) == pytest.approx((0.001, 0.999), abs=0.003)
    for far in (-1.0, 2.0):
        assert chance.bound_value(far, sample, 1e-4, two_sided=True).p_value <= 1e-4
    assert chance.bound_value(2.0, sample, 1e-4, two_sided=False).p_value <= 1e-4
    assert chance.bound_value(-1.0, sample, 1e-4, two_sided=False).p_value == 1


def test_chance_of_many_classes_is_that_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two ways to draw tables agree where both can be taken."""
    rng = np.random.default_rng(0)
    table = np.array([[5, 0, 9, 2], [0, 0, 3, 8], [7, 0, 1, 1]])
    rows = table.sum(axis=1)
    chances = np.array([[0.6, 0.2, 0.2, 0], [1, 0, 0, 0], [0.1, 0.1, 0.1, 0.7]])
    ways = []
    for most in (10_000, 1):
        monkeypatch.setattr(chance, "MANY_CELLS", most)
        samplers = (
            chance.permute_table(table, rng),
            chance.draw_table(rows, chances, rng),
            chance.draw_unevenness(50, 7, rng),
        )
        # Rounded: equal tables give equal values, up to the last bits.
        ways.append([np.round(sample(4000), 9) for sample in samplers])
    for few, many in zip(*ways, strict=True):
        assert stats.ks_2samp(few, many).pvalue > 1e-3
        assert abs(few.mean() - many.mean()) < 4 * few.std() * np.sqrt(2 / 4000)


def test_the_audit_of_3000_classes_takes_seconds_and_little_memory() -> None:
    rng = np.random.default_rng(0)
    table = np.bincount(rng.integers(0, 30_000, 1000), minlength=30_000)
    table = table.reshape(10, 3000)
    chances = np.full((10, 3000), 1 / 3000)
    started = time.perf_counter()
    tracemalloc.start()
    chance.permute_table(table, rng)(200)
    chance.draw_table(table.sum(axis=1), chances, rng)(200)
    chance.draw_unevenness(1000, 3000, rng)(200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # 200 tables at once would take 48 MB
    assert time.perf_counter() - started < 2
