"""From a method's name to the method: `find_method`."""

from reff_bench.catalog.find import CatalogError, import_object
from reff_bench.catalog.methods import METHODS, check_method, load_method
from reff_bench.methods.method import Method, MethodError


def find_method(name: str) -> Method:
    """Return a method: built in, installed, or one of the user's own.

    Args:
        name: of `reff_bench.catalog.methods.METHODS` or of an entry point, or
            `package.module:name`, a function without arguments that returns a `Method`.

    Raises:
        MethodError: there is none, or it can't be imported or isn't a method.
    """
    try:
        if check_method(name) in METHODS:
            method = import_object(METHODS[name].make)()
        else:
            method = load_method(name)
    except CatalogError as error:
        raise MethodError(str(error)) from None
    if not isinstance(method, Method):
        raise MethodError(
            f"{name!r} gave a {type(method).__name__}; it should be a function without "
            "arguments that returns a reff_bench.methods.Method"
        )
    return method
