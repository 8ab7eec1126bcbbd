"""Sentences about regimes that have no gap between them."""

from collections.abc import Iterable, Iterator

from ainerd.novelty import Components


def sentences(components: Components) -> list[str]:
    """Return a sentence for each component of several regimes."""
    return [f"{named(group)} have no gap between them: one broad kind" for group in components.groups if len(group) > 1]


def changes(before: Components, now: Components) -> Iterator[str]:
    """Yield a sentence for each component of several regimes that is new, and for each that has fallen apart."""
    regimes = {regime for group in now.groups for regime in group}
    for group in before.groups:
        left = regimes & set(group)
        if len({now.of(regime) for regime in left}) > 1:
            yield f"there is a gap between {named(sorted(left))} now: they are not one kind"
    known = set(sentences(before))
    yield from (sentence for sentence in sentences(now) if sentence not in known)


def named(regimes: Iterable[int]) -> str:
    """Return regimes in words: "regime 3", "regimes 0, 2 and 3"."""
    *others, last = map(str, regimes)
    return f"regimes {', '.join(others)} and {last}" if others else f"regime {last}"
