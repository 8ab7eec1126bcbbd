"""The bins that the settings describe, and checks of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.config import read_map
from ainerd.technique import Finding
from ainerd.techniques.rheo_xpcs._settings import PartitionSettings
from ainerd.xpcs import Annulus, Partition, pyfai_detectors

if TYPE_CHECKING:
    from pyFAI.detectors import Detector

FEWEST_PIXELS = 64  # of a bin


def build_partition(settings: PartitionSettings) -> Partition:
    """Build the bins that the settings describe.

    Raises
    ------
    ValueError
        If the settings are inconsistent or a file cannot be read; the message names the keys.
    """
    try:
        mask = None if settings.mask is None else read_map(settings.mask, "mask")
        if settings.file is not None:
            if not settings.file.is_file():
                raise ValueError(f"file: there is no {settings.file}")
            partition = Partition.load(settings.file)
        elif settings.roi_map is not None:
            labels = read_map(settings.roi_map, "roi_map")
            partition = Partition.from_roi_map(labels, settings.q_inv_nm, settings.phi_deg)
        else:
            return Partition.annular(**_geometry(settings), beamstop_px=settings.beamstop_px, mask=mask)
        return partition if mask is None else partition.without(mask)
    except ValueError as error:
        raise ValueError(f"partition: {error}") from None


def sensor(settings: PartitionSettings) -> "Detector":
    """Return the detector that the settings name, or a plain one; ValueError if pyFAI does not know it."""
    if settings.shape is not None:
        pixel_m = settings.pixel_um * 1e-6
        return pyfai_detectors().Detector(pixel1=pixel_m, pixel2=pixel_m, max_shape=settings.shape)
    try:
        return pyfai_detectors().detector_factory(settings.detector)
    except (RuntimeError, ValueError):
        raise ValueError(
            f"pyFAI knows no detector {settings.detector!r}: give one it knows, or shape and pixel_um"
        ) from None


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
    hint = annulus.likely_mistake(FEWEST_PIXELS) if annulus and (few.any() or len(partition.left_out)) else ""
    state = f"{pixels.size} bins of {pixels.min()} to {pixels.max()} pixels"
    todo = ""
    if few.any():
        state += f"; {few.sum()} of fewer than {FEWEST_PIXELS} pixels: {_bins(np.flatnonzero(few) + 1)}"
        todo = hint or f"widen the q range, narrow phi_range_deg or take fewer bins: each needs {FEWEST_PIXELS} pixels"
    yield Finding("partition", state, todo)
    if n := len(partition.left_out):
        where = "; ".join(
            (f"q {q:.4g} 1/nm" if q == q else "some") + (f", phi {_list(phi)} degrees" if phi.size else "")
            for q, phi in _by_q(partition.left_out)
        )
        meant = f"; if that is not meant: {hint}" if hint and not few.any() else ""
        yield Finding("left out", f"{n} of {n + pixels.size} bins, which hold no pixel ({where}){meant}")
    if annulus is not None:
        yield _seen(annulus)
    if settings is not None and settings.mask is not None:
        out = read_map(settings.mask, "mask").astype(bool)
        todo = (
            "it must be True (1) where a pixel is not to be used: look whether it is inverted"
            if out.mean() > 0.5
            else ""
        )
        yield Finding("mask", f"{settings.mask.name} takes {out.mean():.2%} of the pixels away", todo)


def beam_and_masked(settings: PartitionSettings | None) -> tuple[tuple[float, float] | None, NDArray[np.bool_] | None]:
    """Return (row, column) of the beam, and the masked pixels, as far as the settings define them."""
    if settings is None:
        return None, None
    masks = [] if settings.mask is None else [read_map(settings.mask, "mask").astype(bool)]
    if settings.by_geometry and (gaps := sensor(settings).mask) is not None:
        masks.append(np.asarray(gaps, bool))
    return settings.beam_center_px, np.logical_or.reduce(masks) if masks else None


def _seen(annulus: Annulus) -> Finding:
    q, (row, column), (ny, nx) = annulus.q(), annulus.beam_center_px, annulus.sensor.shape
    on = 0 <= row < ny and 0 <= column < nx
    beam = f"the beam is {'on' if on else 'off'} the detector, at row {row:g}, column {column:g} of {ny} × {nx}"
    return Finding("geometry", f"q runs {q.min():.3g} to {q.max():.3g} 1/nm; {beam}")


def _geometry(settings: PartitionSettings) -> dict[str, Any]:
    names = {"beam_center_px", "distance_m", "energy_keV", "q_range_inv_nm", "q_edges_inv_nm", "n_phi"}
    if settings.q_edges_inv_nm is None or "n_q" in settings.model_fields_set:
        names.add("n_q")
    if settings.phi_range_deg is not None:
        names.add("phi_range_deg")
    return {"detector": sensor(settings), **settings.model_dump(include=names)}


def _by_q(centres: NDArray[np.float64]) -> list[tuple[float, NDArray[np.float64]]]:
    """Group the centres of bins by q: each q with its known phi."""
    groups = []
    for q in np.unique(centres[:, 0]):
        phi = centres[(centres[:, 0] == q) | (np.isnan(centres[:, 0]) & np.isnan(q)), 1]
        groups.append((float(q), phi[np.isfinite(phi)]))
    return groups


def _list(numbers: NDArray[np.float64]) -> str:
    return ", ".join(f"{x:g}" for x in numbers[:8]) + (", …" if numbers.size > 8 else "")


def _bins(numbers: NDArray[np.int64]) -> str:
    return f"bin{'s' * (numbers.size > 1)} {_list(numbers.astype(float))}"
