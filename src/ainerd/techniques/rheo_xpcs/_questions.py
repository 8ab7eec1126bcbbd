"""Questions of ``ainerd init`` for rheo-XPCS."""

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Question
from ainerd.techniques.rheo_xpcs._bins import FEWEST_PIXELS, sensor
from ainerd.techniques.rheo_xpcs._settings import PartitionSettings
from ainerd.xpcs import Annulus, guess_beam_center, pyfai_detectors

USUAL = (
    "lambda750k",
    "eiger500k",
    "eiger1m",
    "eiger4m",
    "eiger2_1m",
    "eiger2_4m",
    "pilatus300k",
    "pilatus1m",
    "jungfrau",
)


def questions(frame: NDArray[np.float64] | None = None) -> Generator[Question, Any, None]:
    """Ask for geometry and bins; a frame gives defaults for shape, dead pixels and beam."""
    file = yield Question(
        key="partition.file",
        asked="HDF5 file with the bins, masks of NXxpcs or a q map of APS; empty for rings in a geometry",
        example="qmap.h5",
    )
    if not file:
        yield from _rings(frame)
    yield Question(
        key="contrast",
        asked="speckle contrast beta, above 0 and at most 1, of a static sample; without it that of each run is found",
        example=0.2,
    )
    yield Question(key="alpha", asked="an exposure is called novel if its p-value is at most this", default=0.05)


def _rings(frame: NDArray[np.float64] | None) -> Generator[Question, Any, None]:
    candidates = {} if frame is None else {name: n for name in USUAL if (n := _shape(name)) == frame.shape}
    known = next(iter(candidates), "" if frame is not None else "eiger4m")
    name = yield Question(
        key="partition.detector",
        asked="the detector's name in pyFAI, whose gaps are masked; empty for one of another shape",
        default=known,
    )
    answers: dict[str, Any] = {"detector": str(name)} if name else {}
    if not name:
        shape = [512, 512] if frame is None else list(frame.shape)
        answers["shape"] = yield Question(key="partition.shape", asked="rows and columns", default=shape)
        answers["pixel_um"] = yield Question(key="partition.pixel_um", asked="pixel size in µm", default=75.0)
    detector = sensor(PartitionSettings.model_construct(**{"shape": None, "pixel_um": 55.0, **answers}))
    unusable = np.zeros(detector.shape, bool) if detector.mask is None else np.asarray(detector.mask, bool)
    if frame is not None and frame.shape != tuple(detector.shape):
        raise ValueError(f"the frame has {frame.shape} pixels, the detector {tuple(detector.shape)}")
    dead = np.zeros_like(unusable) if frame is None else dead_pixels(frame)
    mask = dead & ~unusable
    if mask.any():
        yield Question(
            key="partition.mask",
            asked=f"pixels not to be used, True in a .npy: {mask.sum()} that are marked, or in dead rows and columns",
            default="mask.npy",
            array=mask,
        )
    usable = ~(unusable | dead)
    center, text = [detector.shape[0] / 2, detector.shape[1] / 2], "row and column of the direct beam"
    if frame is not None:
        center = [round(x, 1) for x in guess_beam_center(frame, usable)]
        text += "; guessed from the symmetry of a frame, check it"
    beam = yield Question(key="partition.beam_center_px", asked=text, default=center)
    distance = yield Question(key="partition.distance_m", asked="sample to detector, in m", default=8.0)
    energy = yield Question(key="partition.energy_keV", asked="photon energy, in keV", default=11.0)
    try:
        annulus = Annulus(
            detector=detector,
            beam_center_px=(float(beam[0]), float(beam[1])),
            distance_m=float(distance),
            energy_keV=float(energy),
            q_edges_inv_nm=[0.0, 1.0],
            n_phi=1,
            n_static=1,
        )
    except (TypeError, ValueError, IndexError):
        raise ValueError(
            f"beam_center_px = {beam}, distance_m = {distance}, energy_keV = {energy}: want numbers"
        ) from None
    limits = yield Question(
        key="partition.q_range_inv_nm",
        asked="inner and outer limit of the rings, in 1/nm; or q_edges_inv_nm = [0.01, 0.02, 0.04]",
        default=_ring(annulus, usable),
    )
    yield Question(key="partition.n_q", asked="rings between these limits", default=1)
    sectors, n_phi = _sectors(annulus, usable, (float(limits[0]), float(limits[1])))
    yield Question(
        key="partition.phi_range_deg",
        asked="part of the circle in degrees, 0 along growing columns, 90 along growing rows; [-40, 40] is across 0",
        default=sectors,
        example=[0.0, 360.0],
    )
    yield Question(key="partition.n_phi", asked="equal sectors of it; 1 for none", default=n_phi)


def dead_pixels(frame: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which pixels of a mean frame, (ny, nx), are marked (NaN) or lie in dead rows or columns.

    A row or column is dead if none of its pixels counted, and ordered are rows or columns with 20 lit pixels or more on
    both sides within 60.
    """
    marked: NDArray[np.bool_] = ~np.isfinite(frame)
    counted = np.where(marked, 0, frame) > 0
    dead_rows, dead_columns = (_dark_between(counted.sum(axis=axis)) for axis in (1, 0))
    return marked | dead_rows[:, None] | dead_columns[None, :]


def _dark_between(lit: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return where the number is 0 between two of at least 20 that are near."""
    sides = [
        [lit[max(0, i - 60) : i].max(initial=0), lit[i + 1 : i + 61].max(initial=0)] if n == 0 else [0, 0]
        for i, n in enumerate(lit)
    ]
    return np.min(sides, axis=1) >= 20


def _shape(name: str) -> tuple[int, int] | None:
    try:
        return tuple(pyfai_detectors().detector_factory(name).shape)
    except (RuntimeError, ValueError):
        return None


def _ring(annulus: Annulus, usable: NDArray[np.bool_]) -> list[float]:
    """Return limits of a ring: a whole circle if the beam is on the detector, otherwise across its middle."""
    q, (row, column), (ny, nx) = annulus.q(), annulus.beam_center_px, usable.shape
    edge = min(row, ny - row, column, nx - column)
    if edge > 20:
        edges = q[:, [0, -1]].ravel(), q[[0, -1]].ravel()
        far = float(np.min(np.concatenate(edges)))
        return [_round(0.5 * far), _round(0.8 * far)]
    low, high = np.quantile(q[usable], [0.3, 0.5])
    return [_round(low), _round(high)]


def _sectors(
    annulus: Annulus, usable: NDArray[np.bool_], limits: tuple[float, float]
) -> tuple[list[float] | None, int]:
    """Return the visible part of a ring and the number of its sectors: about 20 degrees each, with enough pixels."""
    q = annulus.q()
    phi = annulus.phi()[(q >= limits[0]) & (q < limits[1]) & usable]
    ordered = np.sort(phi)
    if ordered.size == 0:
        return None, 18  # the check reports what the detector sees
    gaps = np.diff(ordered, append=ordered[0] + 360)
    widest = int(np.argmax(gaps))
    part: list[float] | None = None
    width = 360.0
    if gaps[widest] > 20:
        begin = float(np.ceil(ordered[(widest + 1) % ordered.size]))
        end = float(np.floor(ordered[widest]))
        end += 360 * (end <= begin)
        if begin >= 180 and end > 360:
            begin, end = begin - 360, end - 360
        part, width = [begin, end], end - begin
    for n in range(max(1, round(width / 20)), 1, -1):
        sector = (((phi - (part or [0.0])[0]) % 360) / width * n).astype(int)
        if np.bincount(sector[sector < n], minlength=n).min() >= 1.5 * FEWEST_PIXELS:
            return part, n
    return part, 1


def _round(x: float) -> float:
    return float(f"{x:.3g}")
