"""The methods by name: `METHODS`, `find_method`."""

import importlib
from collections.abc import Mapping

from reff_bench.methods.method import Method, MethodError
from reff_bench.methods.terms import (
    attend,
    attend_without_map,
    build_attention,
    build_plain,
    classify,
    focus,
    resemble_l1,
    resemble_l2,
    swap,
)

# Titles, marks and the defaults of the options are in `reff_bench.grid.METHODS`, which
# is read without torch.
METHODS: Mapping[str, Method] = {
    "baseline": Method(build_plain, classify),
    "reff": Method(build_plain, focus, second_order=True),
    "reff_l1": Method(build_plain, resemble_l1, second_order=True),
    "reff_l2": Method(build_plain, resemble_l2, second_order=True),
    "abn": Method(build_attention, attend),
    "abn_plain": Method(build_attention, attend_without_map),
    "reff_plus": Method(build_plain, focus, second_order=True),
    "background_swap": Method(build_plain, swap),
}


def find_method(name: str) -> Method:
    """Return a method of `METHODS`, or one of the user's own.

    Args:
        name: of `METHODS`, or `package.module:function`, a function without arguments
            that returns a `Method`.

    Raises:
        MethodError: there is none, or it can't be imported or isn't a method.
    """
    module, colon, function = name.partition(":")
    if not colon:
        if name not in METHODS:
            raise MethodError(
                f"unknown method {name!r} (known: {', '.join(METHODS)}, or your own as "
                "package.module:function)"
            )
        return METHODS[name]
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise MethodError(f"the method {name!r} can't be imported: {error}") from None
    method = make() if callable(make) else make
    if not isinstance(method, Method):
        raise MethodError(
            f"{name!r} gave a {type(method).__name__}; it should be a function without "
            "arguments that returns a reff_bench.methods.Method"
        )
    return method
