"""The technique's section of the TOML: bins, and options of the analysis."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, create_model, model_validator
from scipy.constants import c, e, h

from ainerd.config import Section, located
from ainerd_xpcs.numerics import Annulus, pyfai_detectors
from ainerd_xpcs.technique._parts import installed

LONGEST = 80  # characters of an error of pyFAI, which may list all detectors
MOST_OFF = 1e-3  # relative error of q that a tilt of the detector may make


def read_poni(path: Path) -> dict[str, Any]:
    """Return `beam_center_px`, `distance_m`, `energy_keV`, and `detector` or `shape` with `pixel_um`.

    Raises
    ------
    ValueError
        If the file cannot be read, if it has no wavelength, or if the detector is tilted so much that q is wrong by
        more than 0.1 % in rings of a detector normal to the beam.
    """
    pyfai_detectors()
    from pyFAI.detectors import Detector
    from pyFAI.geometry import Geometry

    try:
        path.open("rb").close()  # pyFAI only logs that there is no file
        geometry = Geometry.sload(str(path))
        fit2d = geometry.getFit2D()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except Exception as error:  # pyFAI raises many kinds for a file that is not its own
        reason = str(error).partition("!")[0][:LONGEST]
        raise ValueError(f"{path}: pyFAI cannot read it as a .poni file ({reason})") from None
    detector = geometry.detector
    if not geometry.wavelength:
        raise ValueError(f"{path}: has no wavelength: calibrate with the energy of the beam")
    if detector.shape is None or detector.pixel1 is None or detector.pixel1 != detector.pixel2:
        raise ValueError(f"{path}: needs a detector with a shape and square pixels")
    if (orientation := int(getattr(detector, "orientation", 3))) not in (0, 3):
        raise ValueError(f"{path}: the detector has orientation {orientation}, frames are read with orientation 3")
    center, distance_m = (float(fit2d["centerY"]), float(fit2d["centerX"])), float(fit2d["directDist"]) / 1000
    values = {"beam_center_px": center, "distance_m": distance_m, "energy_keV": h * c / (1e3 * e * geometry.wavelength)}

    q = Annulus(detector=detector, **values, q_range_inv_nm=(0.0, 1.0)).q()
    off = float(np.nanmax(np.abs(q / geometry.qArray(detector.shape) - 1)))
    if off > MOST_OFF:
        raise ValueError(
            f"{path}: the detector is tilted by {fit2d['tilt']:.3g} degrees, q would be wrong by up to {off:.2%}: "
            "give partition.file, a q map of this geometry"
        )
    name = next((name for name, known in Detector.registry.items() if known is type(detector)), "")
    plain = {"shape": tuple(detector.shape), "pixel_um": 1e6 * detector.pixel1}
    return (plain if name in ("", "detector") else {"detector": name}) | values


PixelPosition = Annotated[float, Field(ge=-1e6, le=1e6)]
Q = Annotated[float, Field(ge=0, le=500)]
Angle = Annotated[float, Field(ge=-360, le=720)]
GEOMETRY = ("detector", "shape", "pixel_um", "beam_center_px", "distance_m", "energy_keV")
RINGS = ("q_range_inv_nm", "n_q", "n_phi", "phi_range_deg")
# Ways to give the bins, and the keys that are allowed beside each; without a way, by a geometry.
BESIDE: dict[str, tuple[str, ...]] = {
    "file": (),
    "poni": RINGS,
    "": (*GEOMETRY, *RINGS),
}


class PartitionSettings(Section):
    """The bins, given by a geometry (`ainerd_xpcs.numerics.Partition.annular`) or by a file.

    Attributes
    ----------
    detector : str
        Name in pyFAI, or empty for a plain detector of `shape` and `pixel_um`.
    q_range_inv_nm : list of float
        Inner and outer limit of `n_q` rings of equal width, or the edges of all rings, without `n_q`.
    poni : Path or None
        Replaces detector, beam centre, distance and energy: a ``.poni`` file of pyFAI.
    file : Path or None
        Replaces the geometry: an HDF5 file that `ainerd_xpcs.numerics.Partition.load` reads. Or a .npy of labels, 0
        unused: a geometry beside it gives their q and phi.
    mask : Path or None
        A .npy of booleans, True where a pixel must not be used, or HDF5 with a ``pixel_mask`` of NeXus; allowed with
        both.
    """

    detector: str = ""
    shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    pixel_um: float = Field(default=55.0, ge=0.5, le=5000)
    beam_center_px: tuple[PixelPosition, PixelPosition] | None = None
    distance_m: float | None = Field(default=None, ge=0.05, le=200)
    energy_keV: float | None = Field(default=None, ge=0.1, le=300)
    q_range_inv_nm: list[Q] | None = Field(default=None, min_length=2)
    n_q: int = Field(default=1, ge=1, le=1000)
    n_phi: int = Field(default=18, ge=1, le=3600)
    phi_range_deg: tuple[Angle, Angle] | None = None
    poni: Path | None = None
    file: Path | None = None
    mask: Path | None = None

    @property
    def by_geometry(self) -> bool:
        """Whether the bins are rings of a geometry, not those of a file."""
        return self.file is None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in type(self).model_fields if name in self.model_fields_set - {"mask"}]
        way = next((name for name in BESIDE if name in given), "")
        beside = BESIDE[way]
        if self.file is not None and self.file.suffix == ".npy":
            beside = ("poni",) if "poni" in given else GEOMETRY
        if more := [name for name in given if name not in {way, *beside}]:
            names, brings = ", ".join(more), "geometry" if way == "poni" else "bins"
            raise ValueError(f"{way} brings the {brings}, remove {names}; or remove {way}")
        if given == ["file"]:
            return self
        if "poni" not in given and not self.detector and self.shape is None:
            raise ValueError(
                "must have a geometry (detector or shape, beam_center_px, distance_m, energy_keV, q_range_inv_nm), "
                "or file, HDF5 with bins or .npy of labels"
            )
        if self.detector and (more := [name for name in ("shape", "pixel_um") if name in given]):
            raise ValueError(f"detector {self.detector!r} has a shape and pixels of its own, remove {', '.join(more)}")
        if missing := [name for name in GEOMETRY[-3:] if "poni" not in given and name not in given]:
            raise ValueError(f"{', '.join(missing)} missing")
        if way == "file":
            return self
        if self.q_range_inv_nm is None:
            raise ValueError("q_range_inv_nm missing: limits of n_q rings, or the edges of all")
        if len(self.q_range_inv_nm) > 2 and "n_q" in given:
            raise ValueError("q_range_inv_nm has the edges of all rings, remove n_q")
        return self

    def anchored(self, folder: Path) -> Self:
        """Return a copy with relative paths resolved from `folder`, and the geometry of the ``.poni`` file."""
        update: dict[str, Any] = _anchored(self, ("file", "mask"), folder)
        if self.poni is not None:
            update |= {"poni": None, **read_poni(located(self.poni, folder))}
        return self.model_copy(update=update)


ShearRate = Annotated[float, Field(ge=-1e6, le=1e6)]
Duration = Annotated[float, Field(gt=0, le=1e5)]


class RheoXPCSSettings(Section):
    """The section ``[rheo_xpcs]``: bins, and options of the analysis.

    Attributes
    ----------
    partition : PartitionSettings
    contrast : float or None
        Speckle contrast beta of the instrument, measured on a static sample; it is pooled with that of each run.
    encoder : str
        "run", "pca", "ours", or the path of a weight file.
    bank : Path or None
        Calibration bank, a file of ``ainerd calibrate``; the shipped bank by default.
    alpha : float
        An exposure is called novel if its p-value is at most this.
    monitor : tuple of str
        Data keys of readings by whose product I(q) and I(t) are divided: the monitor, and further ones such as the
        transmission.
    preshear : list of (float, float)
        Steps of shear at each new position, rate in 1/s and duration in s; empty: the sample is not sheared.
    """

    partition: PartitionSettings
    contrast: float | None = Field(default=None, gt=0, le=1)
    encoder: str = "run"
    bank: Path | None = None
    alpha: float = Field(default=0.05, gt=0, lt=1)
    monitor: tuple[str, ...] = ()
    preshear: list[tuple[ShearRate, Duration]] = []

    def anchored(self, folder: Path) -> Self:
        """Return a copy with relative paths resolved from `folder`."""
        encoder = str(located(Path(self.encoder), folder)) if Path(self.encoder).suffix else self.encoder
        update = {"partition": self.partition.anchored(folder), "encoder": encoder}
        return self.model_copy(update={**update, **_anchored(self, ("bank",), folder)})


@cache
def settings_with_parts() -> type[RheoXPCSSettings]:
    """Return the model of ``[rheo_xpcs]`` with a section for each installed part, None by default."""
    parts: dict[str, Any] = {name: (part.Settings | None, None) for name, part in installed().items()}
    return create_model("RheoXPCSSettings", __base__=RheoXPCSSettings, **parts)


def _anchored(section: Section, names: tuple[str, ...], folder: Path) -> dict[str, Path | None]:
    paths = {name: getattr(section, name) for name in names}
    return {name: None if path is None else located(path, folder) for name, path in paths.items()}
