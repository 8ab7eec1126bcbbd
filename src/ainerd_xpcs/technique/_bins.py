"""The bins that the settings describe, and checks of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ainerd.config import read_map
from ainerd.technique import Finding
from ainerd_xpcs.numerics import Annulus, Partition, named_detector, pyfai_detectors
from ainerd_xpcs.technique._detector_maps import read_mask
from ainerd_xpcs.technique._settings import PartitionSettings

if TYPE_CHECKING:
    from pyFAI.detectors import Detector

FEWEST_PIXELS = 64  # of a bin
ROUND = 0.1  # mean of unit vectors from the beam, below which a bin is a ring


def build_partition(settings: PartitionSettings) -> Partition:
    """Build the bins that the settings describe.

    Raises
    ------
    ValueError
        If the settings are inconsistent or a file cannot be read; the message names the keys.
    """
    try:
        if settings.file is not None and not settings.file.is_file():
            raise ValueError(f"file: there is no {settings.file}")
        mask = read_mask(settings)
        if settings.file is None:
            return Partition.annular(**_geometry(settings), mask=mask)
        labelled = settings.file.suffix == ".npy"
        partition = _of_labels(settings, settings.file) if labelled else Partition.load(settings.file)
        return partition if mask is None else partition.without(mask)
    except ValueError as error:
        raise ValueError(f"partition: {error}") from None


def _of_labels(settings: PartitionSettings, file: Path) -> Partition:
    """Return the bins of a .npy of labels; q and phi are means over the pixels, phi is NaN for rings."""
    labels = read_map(file, "file")
    bins = Partition.from_roi_map(labels)
    if settings.beam_center_px is None:
        return bins
    place = settings.model_dump(include={"beam_center_px", "distance_m", "energy_keV"})
    annulus = Annulus(detector=sensor(settings), **place, q_range_inv_nm=(0.0, 1.0))
    if bins.shape != annulus.sensor.shape:
        raise ValueError(f"file: {file} has {bins.shape} pixels, the detector {tuple(annulus.sensor.shape)}")
    along = ndimage.mean(np.cos(np.radians(annulus.phi())), labels, bins.numbers)
    across = ndimage.mean(np.sin(np.radians(annulus.phi())), labels, bins.numbers)
    phi = np.where(np.hypot(along, across) > ROUND, np.degrees(np.arctan2(across, along)) % 360, np.nan)
    return Partition.from_roi_map(labels, ndimage.mean(annulus.q(), labels, bins.numbers), phi)


def sensor(settings: PartitionSettings) -> "Detector":
    """Return the detector that the settings name, or a plain one; ValueError if pyFAI does not know it."""
    if settings.shape is not None:
        pixel_m = settings.pixel_um * 1e-6
        return pyfai_detectors().Detector(pixel1=pixel_m, pixel2=pixel_m, max_shape=settings.shape)
    try:
        return named_detector(str(settings.detector))
    except ValueError as error:
        raise ValueError(f"{error}: give one it knows, or shape and pixel_um") from None


def instrument(settings: PartitionSettings) -> dict[str, float | str | None]:
    """Return the geometry of the instrument, with units in the names; empty if a file has the bins."""
    if settings.beam_center_px is None:
        return {}
    return {
        "detector": settings.detector,
        "pixel_m": sensor(settings).pixel1,
        "distance_m": settings.distance_m,
        "energy_keV": settings.energy_keV,
        "beam_center_row_px": settings.beam_center_px[0],
        "beam_center_column_px": settings.beam_center_px[1],
    }


def check_bins(partition: Partition, settings: PartitionSettings | None = None) -> Iterator[Finding]:
    """Check the bins for ``ainerd check``: pixels, empty bins, geometry and mask."""
    pixels, few = partition.n_pixels, partition.n_pixels < FEWEST_PIXELS
    rings = settings is not None and settings.by_geometry
    annulus = Annulus(**_geometry(settings)) if settings is not None and rings else None
    state = f"{pixels.size} bins of {pixels.min()} to {pixels.max()} pixels"
    remedy = ""
    if few.any():
        state += f"; {few.sum()} of fewer than {FEWEST_PIXELS} pixels: {bins_text(partition.numbers[few])}"
        remedy = f"widen the q range, narrow phi_range_deg or take fewer bins: each needs {FEWEST_PIXELS} pixels"
        remedy += f"; {annulus.QUESTION}" if annulus else ""
    yield Finding("partition", state, remedy)
    if n := partition.n_left_out:
        yield Finding("left out", f"{n} of {n + pixels.size} bins, which hold no pixel")
    if annulus is not None:
        q, (row, column), (ny, nx) = annulus.q(), annulus.beam_center_px, annulus.sensor.shape
        on = "on" if 0 <= row < ny and 0 <= column < nx else "off"
        beam = f"the beam is {on} the detector, at row {row:g}, column {column:g} of {ny} × {nx}"
        yield Finding("geometry", f"q runs {q.min():.3g} to {q.max():.3g} 1/nm; {beam}")
    if settings is not None and settings.mask is not None and (out := read_mask(settings)) is not None:
        remedy = "it must be True (1) where a pixel is not to be used: check whether it is inverted"
        state = f"{settings.mask.name} takes {out.mean():.2%} of the pixels away"
        yield Finding("mask", state, remedy if out.mean() > 0.5 else "")


def beam_and_masked(settings: PartitionSettings | None) -> tuple[tuple[float, float] | None, NDArray[np.bool_] | None]:
    """Return (row, column) of the beam, and the masked pixels, as far as the settings define them."""
    if settings is None:
        return None, None
    masks = [] if (mask := read_mask(settings)) is None else [mask]
    if settings.by_geometry and (gaps := sensor(settings).mask) is not None:
        masks.append(np.asarray(gaps, bool))
    return settings.beam_center_px, np.logical_or.reduce(masks) if masks else None


def _geometry(settings: PartitionSettings) -> dict[str, Any]:
    names = {"beam_center_px", "distance_m", "energy_keV", "q_range_inv_nm", "n_phi"}
    names |= {"phi_range_deg"} if settings.phi_range_deg is not None else set()
    names |= {"n_q"} if len(settings.q_range_inv_nm or ()) == 2 else set()
    return {"detector": sensor(settings), **settings.model_dump(include=names)}


def bins_text(numbers: NDArray[np.int64]) -> str:
    """Return the numbers of bins in words: ``bins 5, 14``."""
    return f"bin{'s' * (numbers.size > 1)} {', '.join(map(str, numbers[:8]))}{', …' * (numbers.size > 8)}"
