"""Own files that stand in the way of a package of the same name."""

from importlib.util import find_spec


def name_shadow(package: str) -> str:
    """Return a hint which file or folder Python takes for a package.

    Args:
        package: its top name, such as `ray`.

    Returns:
        A part of a message, from its `;` on; empty if there is no such package.
    """
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return ""
    if spec is None:
        return ""
    places = [spec.origin, *(spec.submodule_search_locations or ())]
    place = next((one for one in places if one), "an unknown place")
    return (
        f"; Python takes {package} from {place}: if that is no such package but a file "
        "of yours, rename it or work in another folder"
    )
