"""Mask of a detector: .npy, or the group of a detector in a NeXus file, such as a master of Eiger.

References
----------
NXdetector, ``pixel_mask``.
``/qmap/blemish`` of APS, 1 where a pixel is good: boost_corr, ``xpcs_qpartitionmap.py``; BCDA-APS/8id-bits,
``scripts/qmap_blemish_patch.py``.
"""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd.config import read_map
from ainerd_xpcs.technique._settings import PartitionSettings

INSTRUMENT = "entry/instrument"
MASK = "pixel_mask"  # of NeXus
BLEMISH, QMAPS = "blemish", ("qmap", "xpcs/qmap")  # of APS: in a q map, and in results of boost_corr


def read_mask(settings: PartitionSettings) -> NDArray[np.bool_] | None:
    """Return the pixels not to be used, (ny, nx): of `mask` and of `file`; None without any.

    Raises
    ------
    ValueError
        If a file cannot be read, or the maps have different shapes; the message names the key.
    """
    masks = []
    if settings.mask is not None and settings.mask.suffix == ".npy":
        masks.append(read_map(settings.mask, "mask") != 0)
    elif settings.mask is not None:
        good, marked = (_of_detector(settings.mask, name, "mask") for name in (BLEMISH, MASK))
        if good is None and marked is None:
            where = f"{settings.mask} holds no {INSTRUMENT}/DETECTOR/{MASK}, rows by columns"
            raise ValueError(f"mask: {where}: give that, or a .npy")
        masks.append(np.asarray(marked != 0 if good is None else good == 0))
    if settings.file is not None and (marked := _of_detector(settings.file, MASK, "file")) is not None:
        masks.append(marked != 0)
    if len(shapes := {mask.shape for mask in masks}) > 1:
        raise ValueError(f"mask and the mask of file have different shapes: {', '.join(map(str, sorted(shapes)))}")
    return np.logical_or.reduce(masks) if masks else None


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


def _detectors(file: h5py.File) -> list[h5py.Group]:
    """Return the groups of the instrument, and the parts of a detector that Dectris keeps in a group of their own."""
    instrument = file.get(INSTRUMENT)
    groups = [x for x in (instrument.values() if instrument is not None else ()) if isinstance(x, h5py.Group)]
    return [*groups, *(group["detectorSpecific"] for group in groups if "detectorSpecific" in group)]
