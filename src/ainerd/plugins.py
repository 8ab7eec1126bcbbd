"""Functions and classes of other packages, which settings name."""

from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points
from typing import Any


def load_named(name: str, group: str, known: Collection[str] = ()) -> Any:
    """Return the function or class of this name.

    Parameters
    ----------
    name : str
        An entry point of another package, or ``module:function``.
    group : str
        Of entry points.
    known : collection of str
        Names that need no entry point, for the message.

    Raises
    ------
    ValueError
        If there is none with this name, it cannot be loaded, or it cannot be called.
    """
    others = {each.name: each for each in entry_points(group=group)}
    if name not in others and ":" not in name:
        names = ", ".join([*known, *others])
        raise ValueError(f"{name!r} is {f'none of {names}, nor' if names else 'not'} module:function")
    try:
        loaded = others.get(name, EntryPoint(name, name, group)).load()
    except Exception as error:  # foreign code
        raise ValueError(f"{name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(loaded):
        raise ValueError(f"{name!r} is not a function, nor a class")
    return loaded
