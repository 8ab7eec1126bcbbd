"""Sentences about regimes without a gap between them."""

from collections.abc import Iterable, Iterator

from ainerd.novelty import Components


def sentences(components: Components) -> list[str]:
    """Return a sentence for each component of several regimes."""
    return [_broad(group) for group in components.groups if len(group) > 1]


def changes(before: Components, now: Components) -> Iterator[str]:
    """Yield a sentence for each component that has a gap now, and for each new component of several regimes."""
    regimes = {regime for group in now.groups for regime in group}
    for group in before.groups:
        left = sorted(regimes & set(group))
        if len({now.of(regime) for regime in left}) > 1:
            yield f"{named(left)} now have a gap between them: they are not one kind any more"
    yield from (_broad(group) for group in now.groups if len(group) > 1 and group not in before.groups)


def named(regimes: Iterable[int]) -> str:
    """Return regimes in words: "regime 3", "regimes 0, 2 and 3".

    Examples
    --------
    >>> named([3])
    'regime 3'
    >>> named([0, 2, 3])
    'regimes 0, 2 and 3'
    """
    *others, last = map(str, regimes)
    return f"regimes {', '.join(others)} and {last}" if others else f"regime {last}"


def _broad(group: tuple[int, ...]) -> str:
    return f"{named(group)} have no gap between them: they are one broad kind"
