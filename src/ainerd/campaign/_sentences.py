"""Sentences about regimes that belong together: one broad kind, a path, a break or a hole beside a path."""

from collections.abc import Iterable, Iterator

from ainerd.novelty import Break, Path, Structure


def sentences(structure: Structure) -> list[str]:
    """Return a sentence for each path, each other component of several regimes, and each break or hole."""
    of_path = {path.regimes for path in structure.paths}
    broad = [group for group in structure.components.groups if len(group) > 1 and group not in of_path]
    return [*map(_path, structure.paths), *map(_broad, broad), *map(_break, structure.breaks)]


def changes(before: Structure, now: Structure) -> Iterator[str]:
    """Yield a sentence for each part of the structure that is new, and for each that is there no more.

    The same path or break with more exposures is not new.
    """
    regimes = {regime for group in now.components.groups for regime in group}
    for group in before.components.groups:
        left = sorted(regimes & set(group))
        if len({now.components.of(regime) for regime in left}) > 1:
            yield f"{named(left)} now have a gap between them: they are not one kind any more"
    for path in before.paths:
        by, left = next(iter(path.covariates)), sorted(regimes & set(path.regimes))
        if left and not any(_are_same(path, other) for other in now.paths):
            verb = "does" if len(left) == 1 else "do"
            yield f"{named(left)} {verb} not change steadily with {by} any more"
    known_broad = {group for group in before.components.groups if len(group) > 1}
    of_path = {path.regimes for path in now.paths}
    for group in now.components.groups:
        if len(group) > 1 and group not in known_broad and group not in of_path:
            yield _broad(group)
    yield from (_path(path) for path in now.paths if not any(_are_same(path, other) for other in before.paths))
    known = {(each.regimes, each.covariate, each.is_hole) for each in before.breaks}
    yield from (_break(x) for x in now.breaks if (x.regimes, x.covariate, x.is_hole) not in known)


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


def _are_same(path: Path, other: Path) -> bool:
    by, of_other = next(iter(path.covariates)), next(iter(other.covariates))
    return by == of_other and bool({*path.regimes} & {*other.regimes})


def _broad(group: tuple[int, ...]) -> str:
    return f"{named(group)} have no gap between them: they are one broad kind"


def _path(path: Path) -> str:
    (first, (low, high)), *others = path.covariates.items()
    also = "".join(f" (and {name}, which varies with it)" for name, _ in others)
    verb = "is" if len(path.regimes) == 1 else "are"
    steady = f"one path, a steady change with {first}{also} from {low:g} to {high:g}"
    return f"{named(path.regimes)} {verb} {steady}, seen in {path.n} exposures"


def _break(change: Break) -> str:
    (one, other), (last, first) = map(named, change.regimes), change.between
    if change.is_hole:
        where = f"nothing was measured at {change.covariate} between {last:g} and {first:g}"
        return f"{where}: measure there to see whether the change from {one} to {other} is steady"
    return (
        f"a jump at {change.covariate} between {last:g} and {first:g}: from {one} to {other}. "
        f"Their distance is {change.distance:.0f} times the spread within a regime"
    )
