"""The geometry in a ``.poni`` file, which the calibration of pyFAI writes."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.constants import c, e, h

from ainerd_xpcs.numerics import Annulus, pyfai_detectors

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
    except Exception as error:  # whatever pyFAI raises for a file that is not its own
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
    found = {"beam_center_px": center, "distance_m": distance_m, "energy_keV": h * c / (1e3 * e * geometry.wavelength)}

    q = Annulus(detector=detector, **found, q_range_inv_nm=(0.0, 1.0)).q()
    off = float(np.nanmax(np.abs(q / geometry.qArray(detector.shape) - 1)))
    if off > MOST_OFF:
        raise ValueError(
            f"{path}: the detector is tilted by {fit2d['tilt']:.3g} degrees, q would be wrong by up to {off:.2%}: "
            "give partition.file, a q map of this geometry"
        )
    name = next((name for name, known in Detector.registry.items() if known is type(detector)), "")
    plain = {"shape": tuple(detector.shape), "pixel_um": 1e6 * detector.pixel1}
    return (plain if name in ("", "detector") else {"detector": name}) | found
