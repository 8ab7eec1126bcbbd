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
    """Check that the counts are photons: otherwise their contrast is another one."""
    return frames.screen.no_contrast


def no_relaxation(frames: Correlated) -> str | None:
    """Check that not even the relaxation is that of a faulty detector."""
    return frames.screen.no_relaxation


def swapped(frames: Correlated) -> str | None:
    """Check that no neighbouring frames are exchanged."""
    return None if first(NO_MAPS, frames) else frames.screen.swapped


def disorder(frames: Correlated) -> str | None:
    """Check that no blocks of frames are exchanged."""
    return None if first(NO_MAPS, frames) else numerics.disorder(frames.whole.mean(0))


def shifted(frames: Correlated) -> str | None:
    """Check that the picture did not move."""
    return None if first(NO_MAPS, frames) else numerics.shifted(frames.whole.mean(0), frames.reducer)


def behind(frames: Correlated) -> str | None:
    """Check that the frames belong to the values of the monitor, if there is one of each frame."""
    keys = frames.technique.incident
    if not keys or frames.left_out.n_missing or isinstance(frames.screen, numerics.EventScreen):
        return None  # events have numbers of their own
    photons = frames.reducer.photons_between(np.arange(frames.n_frames + 1)).sum(1)
    return numerics.behind(photons, frames.run.readings.of_frames(keys[0]))


def no_light(frames: Correlated) -> str | None:
    """Check that g2 is that of light; counts that are no photons have another contrast anyway."""
    return None if no_photons(frames) else numerics.no_light(frames.g2, frames.counts_per_pixel)


def uneven_rows(frames: Correlated) -> str | None:
    """Check that frames came in most ticks of a detector of events."""
    n_came = frames.n_frames - frames.left_out.n_missing
    if not frames.run.has_ticks or 2 * n_came >= frames.n_frames:
        return None
    return f"{n_came} frames came in {frames.n_frames} ticks: rows of a map hold unequal numbers of them"


def missing_rows(frames: Correlated) -> str | None:
    """Check that few rows of the maps are without a valid frame with a photon."""
    reason, left_out = holes(frames.maps, frames.technique.partition.numbers), frames.left_out
    numbers = {"missing": left_out.n_missing} | {why: len(each) for why, each in left_out.frames.items()}
    why = ", ".join(f"{n} {name}" for name, n in numbers.items() if n)
    return f"{reason}; left out are frames: {why}" if reason and why else reason or None


NO_CONTRAST: tuple[Check, ...] = (no_photons,)
NO_MAPS: tuple[Check, ...] = (uneven_rows, missing_rows)
NO_FITS: tuple[Check, ...] = (no_relaxation, swapped, disorder, shifted, behind, no_light)


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
        return cls(first(NO_CONTRAST, frames), first(NO_FITS, frames), first(NO_MAPS, frames))

    @property
    def frames(self) -> str | None:
        """Reason why nothing that is computed from the frames can be judged."""
        return self.contrast or self.fits
