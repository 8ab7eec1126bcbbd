"""Mask and flat field of a detector: .npy, or the group of a detector in a NeXus file, such as a master of Eiger.

References
----------
NXdetector, ``pixel_mask`` and ``flatfield``; Dectris, SIMPLON API: the detector multiplies counts by the flat field.
``/qmap/blemish`` of APS, 1 where a pixel is good: boost_corr, ``xpcs_qpartitionmap.py``; BCDA-APS/8id-bits,
``scripts/qmap_blemish_patch.py``.
"""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd.config import read_map
from ainerd_xpcs.technique._settings import PartitionSettings

INSTRUMENT = "entry/instrument"
MASK, FLAT = "pixel_mask", "flatfield"  # of NeXus
BLEMISH, QMAPS = "blemish", ("qmap", "xpcs/qmap")  # of APS: in a q map, and in results of boost_corr
APPLIED = ("flatfield_applied", "flatfield_correction_applied")  # whether the detector has multiplied by it


class FlatField(NamedTuple):
    """Factors that counts are multiplied by, (ny, nx), NaN for pixels without one; the file; whether that was done."""

    factor: NDArray[np.float64]
    file: Path
    is_applied: bool

    @property
    def name(self) -> str:
        """Name of the file, and whether the detector has multiplied by it."""
        return f"{self.file.name}{', multiplied by the detector' if self.is_applied else ''}"


def read_mask(settings: PartitionSettings) -> NDArray[np.bool_] | None:
    """Return the pixels not to be used, (ny, nx): of `mask`, of `file`, and those without a factor; None without any.

    Raises
    ------
    ValueError
        If a file cannot be read, or the maps have different shapes; the message names the key.
    """
    masks = []
    if settings.mask is not None and settings.mask.suffix == ".npy":
        masks.append(read_map(settings.mask, "mask") != 0)
    elif settings.mask is not None and (good := _of_detector(settings.mask, BLEMISH, "mask")) is not None:
        masks.append(good == 0)
    elif settings.mask is not None:
        masks.append(_required(settings.mask, MASK, "mask") != 0)
    if settings.file is not None and (marked := _of_detector(settings.file, MASK, "file")) is not None:
        masks.append(marked != 0)
    if (flat := read_flat(settings)) is not None:
        masks.append(np.isnan(flat.factor))
    if len(shapes := {mask.shape for mask in masks}) > 1:
        raise ValueError(f"mask and flat_field have different shapes: {', '.join(map(str, sorted(shapes)))}")
    return np.logical_or.reduce(masks) if masks else None


def read_flat(settings: PartitionSettings) -> FlatField | None:
    """Return the flat field of `flat_field`, or of `file`; None without one. ValueError names key and file."""
    file, is_applied = settings.flat_field, False
    if file is not None and file.suffix == ".npy":
        factor = read_map(file, "flat_field")
    elif file is not None:
        factor, is_applied = _required(file, FLAT, "flat_field"), _is_applied(file)
    elif settings.file is not None and (flat := _of_detector(settings.file, FLAT, "file")) is not None:
        file, factor, is_applied = settings.file, flat, _is_applied(settings.file)
    else:
        return None
    if factor.dtype.kind not in "fiu":
        raise ValueError(f"flat_field: {file} must hold numbers, got {factor.dtype}")
    values = factor.astype(float)
    values[~(np.isfinite(values) & (values > 0))] = np.nan
    return FlatField(values, file, is_applied)


def _required(path: Path, name: str, key: str) -> NDArray[np.generic]:
    values = _of_detector(path, name, key)
    if values is None:
        raise ValueError(f"{key}: {path} holds no {INSTRUMENT}/DETECTOR/{name}, rows by columns: give that, or a .npy")
    return values


def _of_detector(path: Path, name: str, key: str) -> NDArray[np.generic] | None:
    """Return a map, (ny, nx), of the first detector of a file that has it, or None."""
    if path.suffix == ".npy":  # of labels
        return None
    try:
        with h5py.File(path, "r") as file:
            groups = map(file.get, QMAPS) if name == BLEMISH else _detectors(file)
            for group in groups:
                item = group.get(name) if isinstance(group, h5py.Group) else None
                if isinstance(item, h5py.Dataset) and len(item.shape) == 2:
                    return np.asarray(item[()])
    except OSError as error:
        raise ValueError(f"{key}: {path} cannot be read as HDF5: {error}") from None
    return None


def _is_applied(path: Path) -> bool:
    with h5py.File(path, "r") as file:
        flags = [group[name] for group in _detectors(file) for name in APPLIED if name in group]
        return any(flag.size == 1 and bool(np.any(flag[()])) for flag in flags)


def _detectors(file: h5py.File) -> list[h5py.Group]:
    """Return the groups of the instrument, and the parts of a detector that Dectris keeps in a group of their own."""
    instrument = file.get(INSTRUMENT)
    groups = [x for x in (instrument.values() if instrument is not None else ()) if isinstance(x, h5py.Group)]
    return [*groups, *(group["detectorSpecific"] for group in groups if "detectorSpecific" in group)]
