"""Reasons why an exposure has no contrast, no fits or no verdict: small checks, which can be read alone.

Each check takes the correlated frames, and returns the reason, or None if it has no objection.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ainerd_xpcs import numerics
from ainerd_xpcs.technique._correlated import Correlated
from ainerd_xpcs.technique._verdict import holes

Check = Callable[[Correlated], str | None]


def no_photons(frames: Correlated) -> str | None:
    """Refuse a contrast of counts that are no photons."""
    return frames.screen.no_contrast


def no_relaxation(frames: Correlated) -> str | None:
    """Refuse a relaxation that a faulty detector makes."""
    return frames.screen.no_relaxation


def swapped(frames: Correlated) -> str | None:
    """Refuse neighbouring frames in another order."""
    return frames.screen.swapped


def disorder(frames: Correlated) -> str | None:
    """Refuse blocks of frames in another order."""
    return numerics.disorder(frames.whole.mean(0))


def shifted(frames: Correlated) -> str | None:
    """Refuse a picture that moves."""
    return numerics.shifted(frames.whole.mean(0), frames.reducer)


def behind(frames: Correlated) -> str | None:
    """Refuse frames that fall behind the monitor, if there is a value of it for each frame."""
    keys = frames.technique.monitor
    if not keys or frames.left_out.n_missing or isinstance(frames.screen, numerics.EventScreen):
        return None  # events have numbers of their own
    photons = frames.reducer.photons_between(np.arange(frames.n_frames + 1)).sum(1)
    return numerics.behind(photons, frames.run.readings.of_frames(keys[0]))


def no_light(frames: Correlated) -> str | None:
    """Refuse a g2 that light cannot have. Counts that are no photons are refused before."""
    if no_photons(frames) or (why := numerics.no_light(frames.g2, frames.counts_per_pixel)) is None:
        return None
    is_whole = isinstance(frames.screen, numerics.EventScreen) or frames.screen.whole
    return why if is_whole else "the counts are no integers, and not those of photons: give the counts of the detector"


def uneven_rows(frames: Correlated) -> str | None:
    """Refuse maps of a detector of events if frames came in few ticks."""
    n_came = frames.n_frames - frames.left_out.n_missing
    if not frames.run.has_ticks or 2 * n_came >= frames.n_frames:
        return None
    return f"{n_came} frames came in {frames.n_frames} ticks: rows of a map hold unequal numbers of them"


def missing_rows(frames: Correlated) -> str | None:
    """Refuse maps in which many rows are without a valid frame with a photon."""
    reason, left_out = holes(frames.maps, frames.technique.partition.numbers), frames.left_out
    numbers = {"missing": left_out.n_missing} | {why: len(each) for why, each in left_out.frames.items()}
    why = ", ".join(f"{n} {name}" for name, n in numbers.items() if n)
    return f"{reason}; left out are frames: {why}" if reason and why else reason


NO_CONTRAST: tuple[Check, ...] = (no_photons,)
NO_MAPS: tuple[Check, ...] = (uneven_rows, missing_rows)
OF_MAPS: tuple[Check, ...] = (swapped, disorder, shifted)  # on maps without missing rows
NO_FITS: tuple[Check, ...] = (behind, no_light)


def first(checks: tuple[Check, ...], frames: Correlated) -> str | None:
    """Return the first reason; the checks after it are not made, because some of them take long."""
    return next((reason for check in checks if (reason := check(frames))), None)


class Doubts(NamedTuple):
    """Reasons why an exposure has no contrast, no fits, and no verdict on its maps; None if it has."""

    contrast: str | None
    fits: str | None
    maps: str | None

    @classmethod
    def of(cls, frames: Correlated) -> "Doubts":
        """Make all checks."""
        maps = first(NO_MAPS, frames)
        fits = first((no_relaxation, *(() if maps else OF_MAPS), *NO_FITS), frames)
        return cls(first(NO_CONTRAST, frames), fits, maps)

    @property
    def frames(self) -> str | None:
        """Reason why nothing that is computed from the frames can be judged."""
        return self.contrast or self.fits
