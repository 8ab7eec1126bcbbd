"""The technique's section of the TOML: geometry, bins, and how a run is analysed."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field

from ainerd.config import Section
from ainerd.xpcs import Partition
from ainerd.xpcs._partition import pyfai_detectors

if TYPE_CHECKING:
    from pyFAI.detectors import Detector


class PartitionSettings(Section):
    """Geometry and bins; see `ainerd.xpcs.Partition.annular`.

    Attributes
    ----------
    detector : str
        pyFAI's name, or empty for a plain one of `shape` and `pixel_um`.
    mask : Path or None
        A .npy of booleans, True where a pixel must not be used.
    """

    detector: str = ""
    shape: tuple[int, int] | None = None
    pixel_um: float = 55.0
    beam_center_px: tuple[float, float]
    distance_m: float = Field(gt=0)
    energy_keV: float = Field(gt=0)
    q_range_inv_nm: tuple[float, float]
    n_q: int = Field(default=1, ge=1)
    n_phi: int = Field(default=18, ge=1)
    beamstop_px: float = Field(default=0.0, ge=0)
    mask: Path | None = None


class Shear(Section):
    """One step of a pre-shear: shear rate in 1/s, duration in s."""

    rate: float
    duration_s: float = Field(gt=0)


class RheoXPCSSettings(Section):
    """The section ``[rheo_xpcs]``: bins, and how a run is analysed.

    Attributes
    ----------
    partition : PartitionSettings
    contrast : float
        Speckle contrast beta of the instrument, measured on a static sample.
    reduction, sigma, diagonal, normalization
        As in `ainerd.xpcs.TwoTimeReducer`.
    encoder : str
        "pca", "ours", or a path of weights.
    denoiser : str
        What takes the noise off the maps that are kept beside the measured ones: as `encoder`, or "none".
    bank : Path or None
        What novelty is calibrated against, as ``ainerd calibrate`` writes it; without it the one that is shipped.
    alpha : float
        An exposure is called novel if its p-value is at most this.
    preshear : list of Shear
        Steps by which the sample is sheared afresh at each position; none: it is left alone.
    """

    partition: PartitionSettings
    contrast: float = Field(gt=0, le=1)
    reduction: Literal["area", "gaussian", "decimate"] = "area"
    sigma: float | None = None
    diagonal: Literal["poisson", "neighbour", "raw"] = "poisson"
    normalization: Literal["smoothed", "paper", "symmetric"] = "smoothed"
    encoder: str = "pca"
    denoiser: str = "ours"
    bank: Path | None = None
    alpha: float = Field(default=0.05, gt=0, lt=1)
    preshear: list[Shear] = []

    def anchored(self, folder: Path) -> Self:
        """The same with paths that count from `folder`."""
        paths = {"mask": self.partition.mask, "bank": self.bank}
        full = {name: None if path is None else (folder / path).resolve() for name, path in paths.items()}
        partition = self.partition.model_copy(update={"mask": full["mask"]})
        return self.model_copy(update={"partition": partition, "bank": full["bank"]})


def build_partition(settings: PartitionSettings) -> Partition:
    """The (q, phi) bins that the settings describe; ValueError if these make no sense, or the mask cannot be read."""
    mask = None if settings.mask is None else np.load(settings.mask, allow_pickle=False)
    about = settings.model_dump(exclude={"detector", "shape", "pixel_um", "mask"})
    return Partition.annular(detector=sensor(settings), mask=mask, **about)


def sensor(settings: PartitionSettings) -> "Detector":
    """The detector that the settings name, or a plain one; ValueError if they name none that pyFAI knows."""
    if settings.shape is not None:
        pixel_m = settings.pixel_um * 1e-6
        return pyfai_detectors().Detector(pixel1=pixel_m, pixel2=pixel_m, max_shape=settings.shape)
    try:
        return pyfai_detectors().detector_factory(settings.detector)
    except (RuntimeError, ValueError):
        raise ValueError(
            f"partition: pyFAI knows no detector {settings.detector!r}: give one it knows, or shape and pixel_um"
        ) from None


def instrument(settings: PartitionSettings) -> dict[str, float | str | None]:
    """What is known of the instrument, with the units of its numbers in their names."""
    return {
        "detector": settings.detector,
        "pixel_m": sensor(settings).pixel1,
        "distance_m": settings.distance_m,
        "energy_keV": settings.energy_keV,
        "beam_center_row_px": settings.beam_center_px[0],
        "beam_center_column_px": settings.beam_center_px[1],
    }
