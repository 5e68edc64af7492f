"""The methods, as far as a grid has to know them: `METHODS`, `method_spec`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from reff_bench.catalog import options as opts
from reff_bench.catalog.find import CatalogError, check_name, load
from reff_bench.catalog.option import Options, UnknownOptions, options_with
from reff_bench.catalog.options import AnyOptions

GROUP = "reff_bench.methods"
# What a method is given beside images and labels.
Supervision = Literal[
    "none", "masks", "deployment masks", "training groups", "validation groups"
]
SUPERVISIONS: tuple[Supervision, ...] = get_args(Supervision)
WITH_MASKS: tuple[Supervision, ...] = ("masks", "deployment masks")


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """What a grid has to know of a method.

    Attributes:
        title: its name in tables.
        mark: `paper`, `other`, `ours` or `user`: where the method comes from.
        make: import path of a function without arguments that returns the
            `reff_bench.methods.Method`.
        options: a model of its options with their defaults.
        supervision: what it is given beside images and labels; `deployment masks` are
            needed by the trained model as well.
        compiles: whether `compile` has a meaning for it.
    """

    title: str
    mark: str
    make: str
    options: type[Options] = Options
    supervision: Supervision = "masks"
    compiles: bool = True

    @property
    def uses_masks(self) -> bool:
        """Whether it depends on annotations."""
        return self.supervision in WITH_MASKS

    @property
    def uses_groups(self) -> bool:
        """Whether it depends on groups, and so on counter-examples to a shortcut."""
        return self.supervision in ("training groups", "validation groups")

    @property
    def defaults(self) -> dict[str, Any]:
        """The options' defaults by name."""
        return {name: one.default for name, one in self.options.model_fields.items()}


def _spec(
    title: str,
    mark: str,
    make: str,
    options: type[Options] = Options,
    supervision: Supervision = "masks",
    *,
    compiles: bool = True,
) -> MethodSpec:
    path = f"reff_bench.methods.{make}"
    return MethodSpec(title, mark, path, options, supervision, compiles)


def _other(
    title: str,
    make: str,
    options: type[Options] = Options,
    supervision: Supervision = "masks",
) -> MethodSpec:
    """Return a method that others published; none of them is compiled."""
    return _spec(title, "other", make, options, supervision, compiles=False)


METHODS: Mapping[str, MethodSpec] = {
    "baseline": _spec("Baseline", "paper", "baseline:baseline", supervision="none"),
    "reff": _spec("ReFF", "paper", "reff:reff", opts.ReffOptions),
    "reff_l1": _spec("ReFF (L1)", "paper", "reff:reff_l1", opts.L1Options),
    "reff_l2": _spec("ReFF (L2)", "paper", "reff:reff_l2", opts.DifferenceOptions),
    "abn": _spec("ABN", "paper", "abn:abn", opts.AbnOptions),
    "abn_plain": _spec(
        "ABN, no map loss", "other", "abn:abn_plain", opts.AbnPlainOptions, "none"
    ),
    "reff_plus": _spec("ReFF+", "ours", "reff:reff", opts.ReffPlusOptions),
    "background_swap": _spec(
        *("Background swap", "other", "background_swap:background_swap"),
        opts.SwapOptions,
    ),
    "rrr": _other("RRR", "rrr:rrr", opts.RrrOptions),
    "rrr_g": _other("RRR-G", "map_rivals:rrr_g", opts.RrrGOptions),
    "energy": _other("Energy loss", "map_rivals:energy", opts.EnergyOptions),
    "hint": _other("HINT", "map_rivals:hint", opts.HintOptions),
    "tap": _other("TAP", "tap:tap", opts.TapOptions),
    "pgd_ex": _other("PGD-Ex", "pgd_ex:pgd_ex", opts.PgdExOptions),
    "r4": _other("R4", "r4:r4", opts.R4Options),
    "mask_input": _other(
        "Mask input", "mask_input:mask_input", supervision="deployment masks"
    ),
    "jtt": _other("JTT", "jtt:jtt", opts.JttOptions, "none"),
    "lff": _other("LfF", "lff:lff", opts.LffOptions, "none"),
    "group_balanced": _other(
        *("Group-balanced", "groups:group_balanced", opts.GroupBalancedOptions),
        "training groups",
    ),
    "group_dro": _other(
        "GroupDRO", "groups:group_dro", opts.GroupDroOptions, "training groups"
    ),
    "dfr": _other("DFR", "dfr:dfr", opts.DfrOptions, "validation groups"),
}
METHOD_OPTIONS = options_with(one.options for one in METHODS.values())


# Returns a name that there may be, or raises CatalogError; nothing is imported.
check_method = partial(check_name, "method", known=METHODS, group=GROUP)


def is_own(name: str) -> bool:
    """Whether a method is a user's own, or an installed package's."""
    return name not in METHODS


def load_method(name: str) -> Any:  # noqa: ANN401 (a Method, whose module needs torch)
    """Return the `reff_bench.methods.Method` of a user's own.

    Raises:
        CatalogError: it can't be imported, or the function fails.
    """
    found = load(name, GROUP)
    if not callable(found):
        return found
    try:
        return found()
    except (Exception, SystemExit) as error:  # whatever code of others raises
        raise CatalogError(
            f"{name} failed: {type(error).__name__}: {error}; it should be a function "
            "without arguments that returns a reff_bench.methods.Method"
        ) from None


def method_spec(name: str) -> MethodSpec:
    """Return a method: of `METHODS`, installed, or the user's own, which is imported.

    Args:
        name: of `METHODS` or of an entry point, or `package.module:name`.

    Raises:
        CatalogError: it can't be imported, or is something else.
    """
    if name in METHODS:
        return METHODS[name]
    method = load_method(name)
    options = getattr(method, "options", None) or AnyOptions
    if not hasattr(method, "terms"):
        raise CatalogError(
            f"{name} gave a {type(method).__name__}; it should be a function without "
            "arguments that returns a reff_bench.methods.Method"
        )
    title = getattr(method, "title", None) or name.rpartition(":")[2]
    supervision = getattr(method, "supervision", None)
    if supervision is None:
        supervision = "masks" if method.uses_masks else "none"
    if supervision not in SUPERVISIONS:
        raise CatalogError(
            f"{name} has the supervision {supervision!r}; it should be one of "
            f"{', '.join(SUPERVISIONS)}"
        )
    return MethodSpec(*(title, "user", name, options, supervision), compiles=False)


def known_method(name: str) -> MethodSpec:
    """Return a method; one that can't be imported here as far as its name says.

    A record can be read where its own method isn't at hand.
    """
    try:
        return method_spec(name)
    except CatalogError:
        title = name.rpartition(":")[2]
        return MethodSpec(title, "user", name, UnknownOptions, compiles=False)


@contextmanager
def distinct_titles(names: Iterable[str]) -> Iterator[None]:
    """Within the block, tell methods that share a title apart by their modules."""
    titles = {name: known_method(name).title for name in dict.fromkeys(names)}
    count = Counter(titles.values())
    distinct = {
        name: title if count[title] == 1 else f"{title} ({name.partition(':')[0]})"
        for name, title in titles.items()
        if is_own(name)
    }
    before = _TITLES.set(distinct)
    try:
        yield
    finally:
        _TITLES.reset(before)


_TITLES: ContextVar[Mapping[str, str]] = ContextVar("titles", default={})  # noqa: B039


def method_title(name: str) -> str:
    """Return the name of a method in tables; nothing is imported."""
    if name in METHODS:
        return METHODS[name].title
    return _TITLES.get().get(name, name.rpartition(":")[2])
