"""Detectors by pyFAI's names, and masks of their pixels."""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from pyFAI.detectors import Detector


def detector_of(detector: "str | Detector") -> "Detector":
    """A detector by its name in pyFAI; ValueError if there is none."""
    if not isinstance(detector, str):
        return detector
    try:
        return pyfai_detectors().detector_factory(detector)
    except RuntimeError as err:
        raise ValueError(f"pyFAI knows no detector {detector!r}: {err}") from None


def pyfai_detectors() -> Any:
    """`pyFAI.detectors`, which is slow to import, without the windows of pyFAI: they bring Qt where it is installed."""
    windows = "pyFAI.gui.model.GeometryModel"
    sys.modules.setdefault(windows, None)  # type: ignore[arg-type]
    import pyFAI.detectors

    if sys.modules[windows] is None:
        del sys.modules[windows]
    return pyFAI.detectors


def checked_mask(mask: ArrayLike, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask, True where a pixel must not be used, for a detector of whose pixels `inside` are in bins, (ny, nx).

    Raises
    ------
    ValueError
        If it has another shape, or takes more than half of the detector and more than half of the pixels in bins:
        then it is taken for inverted.
    """
    given = np.asarray(mask)
    if given.shape != inside.shape:
        turned = ": it is transposed" if given.shape == inside.shape[::-1] else ""
        raise ValueError(f"mask has shape {given.shape}, the detector has {inside.shape}{turned}")
    if given.dtype.kind not in "bui":
        raise ValueError(f"mask must be of booleans, or of 0 and 1, got {given.dtype}")
    out = given.astype(bool)
    if out.mean() > 0.5 and out[inside].mean() > 0.5:
        raise ValueError(
            f"mask takes away {out.mean():.1%} of the detector and {out[inside].mean():.1%} of the pixels in the bins: "
            "it must be True (1) where a pixel is not to be used; is it inverted? If not, give the pixels to use as "
            "roi_map"
        )
    return out
