"""Tab. 4: the hyper-parameters that were used, with their marks, pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields

from reff_bench.catalog.methods import METHODS, is_own, known_method
from reff_bench.catalog.option import Option, option_of, plain
from reff_bench.grid.config import RunConfig, run_fields
from reff_bench.grid.marks import OPTIONS
from reff_bench.report.render import csv_table, latex_table
from reff_bench.report.words import show, weights_in_words
from reff_bench.results.plan import Plan
from texturedmnist.common.latex import escape

CAPTION = (
    "Hyper-parameters used. Marks: [paper] said in the paper's supplement; [assumed] "
    "our choice where its words are lost; [other] from another public source; [ours] "
    "of our own network or method; [set] set in this grid to another value than the "
    "default; [tuned] chosen among these values; [user] up to a method of the user's "
    "own."
)


@dataclass(frozen=True, slots=True)
class OptionRow:
    """A value of an option, its mark, and the titles of those that use it, or `all`."""

    option: str
    meaning: str
    value: str
    methods: str
    mark: str


def option_rows(plan: Plan) -> tuple[OptionRow, ...]:
    """Return every option's values in the order of `OPTIONS`, own ones last."""
    names = [name for name in run_fields(plan.configs) if name != "seed"]
    distinct = {config.values(names): config for config in plan.configs}.values()
    rows: list[OptionRow] = []
    for name, option in _options(distinct).items():
        configs = [config for config in distinct if _uses(config, name, option)]
        users = {config.method for config in configs}
        for value, mark, methods in _values(configs, name, option, plan):
            who = "all" if set(methods) == users else ", ".join(map(show, methods))
            rows.append(OptionRow(name, option.meaning, value, who, mark))
    return tuple(rows)


def options_csv(rows: Sequence[OptionRow]) -> str:
    """Return Tab. 4 as CSV."""
    heads = [field.name for field in fields(OptionRow)]
    return csv_table(heads, [astuple(row) for row in rows])


def options_latex(rows: Sequence[OptionRow]) -> str:
    """Return Tab. 4 as LaTeX (booktabs)."""
    heads = ["Option", "Value", "Methods", "Mark"]
    lines = [
        [escape(p) for p in (row.meaning, row.value, row.methods, f"[{row.mark}]")]
        for row in rows
    ]
    wide = "p{0.32\\linewidth}p{0.22\\linewidth}p{0.24\\linewidth}l"
    size = "\\footnotesize"
    table = latex_table(wide, heads, lines, caption=CAPTION, label="tab4", size=size)
    return "% needs \\usepackage{booktabs}\n" + table


def _options(configs: Iterable[RunConfig]) -> dict[str, Option]:
    """Return what each option is, those of the user's own methods too."""
    found = dict(OPTIONS)
    for config in configs:
        for name in plain(config.options):
            field = type(config.options).model_fields.get(name)
            own = option_of(field, name) if field else Option("method", "user", name)
            found.setdefault(name, own)
    return found


def _uses(config: RunConfig, name: str, option: Option) -> bool:
    if name == "annotation_unit":
        return config.annotations != "all"
    if option.group == "annotator":
        return config.uses_annotator
    if name == "momentum":
        return config.optimizer == "sgd"
    if option.group in ("data", "method"):
        return config.value(name) is not None
    return True


def _values(
    configs: Sequence[RunConfig], name: str, option: Option, plan: Plan
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (value, mark, methods) of an option, each pair of value and mark once."""
    found: dict[tuple[str, str], list[str]] = {}
    alike = {(c.method, c.value(name), c.weights_identity): c for c in configs}
    for config in alike.values():
        shown = show(config.value(name))
        if name == "weights":
            words = weights_in_words([config])
            shown = words[0] if words and config.weights is not None else shown
        if _is_left_to_method(config, name):
            shown += ", unless the method builds a network of its own"
        methods = found.setdefault((shown, _mark(config, name, option, plan)), [])
        if config.method not in methods:
            methods.append(config.method)
    for (value, mark), methods in found.items():
        yield value, mark, methods


def _is_left_to_method(config: RunConfig, name: str) -> bool:
    """Whether a method of the user's own decides; a record's `network` says what on."""
    return is_own(config.method) and name in ("backbone", "weights")


def _mark(config: RunConfig, name: str, option: Option, plan: Plan) -> str:
    value, spec = config.value(name), known_method(config.method)
    if _is_left_to_method(config, name):
        return "user"
    if name in plan.select.options and value in plan.select.options[name]:
        return "tuned"
    if option.group == "method":
        if value != spec.defaults.get(name):
            return "set"
        own = spec.mark == "ours" and value != METHODS["reff"].defaults[name]
        return "ours" if own else option.mark
    if option.paper is not None:
        return option.mark if value == option.paper else "set"
    # Data is described by the grid: its randomness is never the paper's.
    is_default = option.group == "data" or value == RunConfig.model_fields[name].default
    return option.mark if is_default else "set"
