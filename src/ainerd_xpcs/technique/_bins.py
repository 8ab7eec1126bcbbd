"""The bins that the settings describe, checks of them, and the questions of ``ainerd init`` about them."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ainerd.config import read_map
from ainerd.technique import Finding, Question
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


def questions() -> Generator[Question, Any, None]:
    """Ask for geometry and bins."""
    bins = (
        "HDF5 file with the bins, masks of NXxpcs or a q map of APS, or .npy of labels; empty for rings in a geometry"
    )
    file = yield Question(key="partition.file", text=bins, example="qmap.h5")
    poni = None
    if not file:
        text = ".poni file of pyFAI; empty if you enter the geometry"
        poni = yield Question(key="partition.poni", text=text, example="rings.poni")
    if poni:
        limits = "inner and outer limit of the rings, in 1/nm"
        yield Question(key="partition.q_range_inv_nm", text=limits, example=[0.02, 0.03])
        yield Question(key="partition.n_q", text="rings between these limits", default=1)
        yield Question(key="partition.n_phi", text="equal sectors of them; 1 for none", default=1)
    elif not file:
        yield from _ask_geometry()
    beta = "speckle contrast beta, above 0 and at most 1, of a static sample; without it that of each run is found"
    yield Question(key="contrast", text=beta, example=0.2)
    yield Question(key="alpha", text="an exposure is called novel if its p-value is at most this", default=0.05)


def _ask_geometry() -> Generator[Question, Any, None]:
    text = "the detector's name in pyFAI, whose gaps are masked; empty for one of another shape"
    name = yield Question(key="partition.detector", text=text, default="eiger4m")
    answers: dict[str, Any] = {"detector": str(name)} if name else {}
    if not name:
        answers["shape"] = yield Question(key="partition.shape", text="rows and columns", default=[512, 512])
        answers["pixel_um"] = yield Question(key="partition.pixel_um", text="pixel size in µm", default=75.0)
    detector = sensor(PartitionSettings.model_construct(**{"shape": None, "pixel_um": 55.0, **answers}))
    unusable = np.zeros(detector.shape, bool) if detector.mask is None else np.asarray(detector.mask, bool)
    middle = [detector.shape[0] / 2, detector.shape[1] / 2]
    text = "row and column of the direct beam; the default is the middle of the detector"
    beam = yield Question(key="partition.beam_center_px", text=text, default=middle)
    distance = yield Question(key="partition.distance_m", text="sample to detector, in m", default=8.0)
    energy = yield Question(key="partition.energy_keV", text="photon energy, in keV", default=11.0)
    try:
        place: dict[str, Any] = {"beam_center_px": (float(beam[0]), float(beam[1])), "distance_m": float(distance)}
        place |= {"energy_keV": float(energy), "q_range_inv_nm": [0.0, 1.0], "n_phi": 1, "n_static": 1}
        annulus = Annulus(detector=detector, **place)
    except (TypeError, ValueError, IndexError):
        wrong = f"beam_center_px = {beam}, distance_m = {distance}, energy_keV = {energy}"
        raise ValueError(f"{wrong}: numbers are expected") from None
    text = "inner and outer limit of the rings, in 1/nm; or the edges of all, [0.01, 0.02, 0.04]"
    ends = [float(f"{q:.3g}") for q in np.quantile(annulus.q()[~unusable], [0.3, 0.5])]
    yield Question(key="partition.q_range_inv_nm", text=text, default=ends)
    yield Question(key="partition.n_q", text="rings between these limits", default=1)
    text = "part of the circle in degrees, 0 along growing columns, 90 along growing rows; [-40, 40] is across 0"
    yield Question(key="partition.phi_range_deg", text=text, example=[0.0, 360.0])
    yield Question(key="partition.n_phi", text="equal sectors of it; 1 for none", default=18)
