"""Layouts of two-time maps in result files: boost_corr, 8-ID, pychx, NXxpcs.

References
----------
boost_corr 1.2, ``twotime.py``: ``correlation_map/c2_00001``, …, with the running number of the *processed* bins, whose
labels are in ``processed_bins``; the upper half. Its files of early 2025 have them in ``xpcs/twotime/c2_half``.
8-ID before that: ``exchange/C2T_all/g2_00001``, …, labels in ``xpcs/qphi_bin_to_process``.
pychx 4.4: ``g12b`` (T, T, bins) in its ``…_Res.h5``, or ``uid=…_g12b.npy``.
NXxpcs: ``entry/twotime/two_time_corr_func`` with storage_mode, baseline_reference, time_origin_location,
populated_elements; the map itself shows the last two.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_files._curves import stated_bins
from ainerd_files._fields import FRAME_TIMES, dataset, frame_time, number, numbers
from ainerd_files._layouts import BOOST_CORR_MAPS, MAPS, NEXUS_MAPS, OUR_MAPS, OURS, found, is_there

_ROI_MAP = "entry/instrument/masks/dynamic_roi_map"


@dataclass(frozen=True)
class Stored:
    """The maps of a file before they are read.

    Attributes
    ----------
    layout : str
        Name of the file's layout.
    read : callable
        Returns map number k, from 0, as it is stored: (T, T), perhaps one half.
    labels : ndarray of int, shape (n,)
        Bin of each map, as in the file's own map of bins.
    n_rows : int
        Rows of the maps by the shape of the dataset.
    row_s : float
        Seconds from row to row; NaN if the file does not say it.
    baseline : int
        Value of maps without correlation, 0 or 1.
    is_clean : bool
        Whether the diagonal holds no shot noise, as in our own exports.
    """

    layout: str
    read: Callable[[int], NDArray[Any]]
    labels: NDArray[np.int64]
    n_rows: int
    row_s: float
    baseline: int = 1
    is_clean: bool = False


def _series(file: h5py.File, name: str, labels: str) -> tuple[Callable[[int], NDArray[Any]], NDArray[np.int64], int]:
    """Return the reader of maps whose names end in a running number, labels (listed, or the numbers), and rows."""
    group = file[name]
    endings = {key: re.search(r"\d+$", key) for key in group}
    keys = sorted((key for key in endings if endings[key]), key=lambda key: int(endings[key][0]))  # type: ignore[index]
    if not keys:
        raise ValueError(f"{name} holds no maps whose names end in a number")
    own = np.array([int(endings[key][0]) for key in keys])  # type: ignore[index]
    if is_there(file, labels):
        listed = numbers(file, labels).astype(np.int64)
        own = own - min(own.min(), 1)  # the names are running numbers of the processed bins
        if own.max() >= listed.size:
            raise ValueError(f"{name} has a map {keys[-1]}, and {labels} lists {listed.size} bins")
        own = listed[own]
    if own.min() < 0 or np.unique(own).size != own.size:
        raise ValueError(
            f"the maps in {name} are of bins {own.tolist()[:8]}: each must have a number of its own, from 1"
        )
    own += own.min() == 0  # label 0 is that of unused pixels
    return lambda k: dataset(group, keys[k])[()], own, len(dataset(group, keys[0]))


def _boost_corr(file: h5py.File) -> Stored:
    name = next(name for name in BOOST_CORR_MAPS if is_there(file, name))
    read, labels, n = _series(file, name, "xpcs/twotime/processed_bins")
    steps = [number(file, f"xpcs/twotime/config/{name}", 1.0) for name in ("avg_frame", "stride_frame")]
    return Stored("APS, boost_corr", read, labels, n, _row_s(file, FRAME_TIMES) * steps[0] * steps[1])


def _old(file: h5py.File) -> Stored:
    read, labels, n = _series(file, "exchange/C2T_all", "xpcs/qphi_bin_to_process")
    steps = [number(file, f"xpcs/{name}", 1.0) for name in ("avg_frames", "stride_frames")]
    row_s = _row_s(file, ("measurement/instrument/detector/exposure_period",))
    return Stored("APS, 8-ID-I and boost_corr before 2025", read, labels, n, row_s * steps[0] * steps[1])


def _nexus(file: h5py.File) -> Stored:
    field = file[NEXUS_MAPS]
    mode = _text(field.attrs.get("storage_mode", ""))
    if isinstance(field, h5py.Group):
        read, labels, n = _series(file, NEXUS_MAPS, "")
    elif mode in ("one_array_q_first", "one_array_q_last", ""):
        read, every, n = _array(dataset(file, NEXUS_MAPS), f"/{NEXUS_MAPS}", 2 if mode == "one_array_q_last" else 0)
        occur = np.unique(dataset(file, _ROI_MAP)[()]).astype(np.int64) if is_there(file, _ROI_MAP) else every
        of_bins = stated_bins(file["entry/twotime"]), occur[occur > 0], every  # their numbers may have holes
        labels = next(each for each in of_bins if each.size == every.size)
    else:
        raise ValueError(f"/{NEXUS_MAPS} has storage_mode {mode!r}, which does not say where a map is")
    ours = _text(file["entry/process/program"][()]) == "ainerd" if is_there(file, "entry/process/program") else False
    times = numbers(file, "entry/twotime/t1", "s") if is_there(file, "entry/twotime/t1") else np.empty(0)
    steps = np.diff(times)
    if steps.size and not (steps[0] != 0 and np.allclose(steps, steps[0], rtol=0.01)):
        raise ValueError("/entry/twotime/t1 is not evenly spaced: the rows of a map must be equally long")
    row_s = abs(float(steps[0])) if steps.size else _row_s(file, FRAME_TIMES)
    step, baseline = -1 if steps.size and steps[0] < 0 else 1, int(field.attrs.get("baseline_reference", 1))
    return Stored("NXxpcs", lambda k: read(k)[::step, ::step], labels, n, row_s, baseline, ours)


def _pychx(file: h5py.File) -> Stored:
    about = next((dict(file[name].attrs) for name in ("md", "meta_data") if name in file), {})
    lags = next((numbers(file, name, "s") for name in ("tausb", "taus2") if is_there(file, name)), np.empty(0))
    lags = lags[lags > 0]
    keys = [float(np.ravel(about[key])[0]) for key in ("frame_time", "acquire period") if key in about]
    row_s = float(lags.min()) if lags.size else next((x for x in keys if x > 0), np.nan)
    return Stored("NSLS-II, pychx", *_array(dataset(file, "g12b"), "/g12b", 2), row_s)


def _array(maps: Any, name: str, stated: int) -> tuple[Callable[[int], NDArray[Any]], NDArray[np.int64], int]:
    """Return the reader of maps in one array, their numbers from 1, and rows; the bins are on axis 0 or 2.

    The axis is the stated one if both fit.
    """
    if maps.ndim != 3:
        raise ValueError(f"{name} has shape {maps.shape}, expected (bins, T, T) or (T, T, bins)")
    fits = {0: maps.shape[1] == maps.shape[2], 2: maps.shape[0] == maps.shape[1]}
    axis = next((axis for axis in (stated, 2 - stated) if fits[axis]), stated)
    read = (lambda k: maps[:, :, k]) if axis == 2 else (lambda k: maps[k])
    return read, np.arange(1, maps.shape[axis] + 1), maps.shape[1]


def _row_s(file: h5py.File, names: tuple[str, ...]) -> float:
    return frame_time(file, names) if any(is_there(file, name) for name in names) else np.nan


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _ours(file: h5py.File) -> Stored:
    """Find the maps that `ainerd analyze` wrote."""
    maps, bins = dataset(file, OUR_MAPS), numbers(file, OURS).astype(np.int64)
    if maps.ndim != 3 or len(maps) != bins.size:
        raise ValueError(f"/{OUR_MAPS} has shape {maps.shape}, expected ({bins.size} bins, T, T)")
    seconds = [float(file.attrs.get(name, np.nan)) for name in ("n_frames", "frame_time_s")]
    row_s = seconds[0] * seconds[1] / maps.shape[1]
    return Stored("ainerd", lambda k: np.asarray(maps[k]), bins, maps.shape[1], row_s, is_clean=True)


_FIND: dict[str, Callable[[h5py.File], Stored]] = {
    NEXUS_MAPS: _nexus,
    **dict.fromkeys(BOOST_CORR_MAPS, _boost_corr),
    "exchange/C2T_all": _old,
    "g12b": _pychx,
    OUR_MAPS: _ours,
}


def stored_maps(file: h5py.File) -> Stored:
    """Find the maps of a file; raise ValueError, which lists the layouts, if it has none in a known one."""
    return _FIND[found(file, MAPS, "two-time map")](file)


def npy_maps(path: Path) -> Stored:
    """Find the maps in a ``.npy`` file: (T, T), (n, T, T), or (T, T, n) as pychx saves them."""
    try:
        maps = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as err:
        raise ValueError(f"{path}: not a .npy file of numbers ({err})") from None
    if maps.dtype.kind not in "fiu" or maps.ndim not in (2, 3):
        raise ValueError(f"{path}: holds {maps.dtype} of shape {maps.shape}, expected maps (T, T), or several of them")
    if maps.ndim == 2:
        return Stored(".npy", lambda k: maps, np.array([1]), len(maps), np.nan)
    last = path.stem.endswith("_g12b") or maps.shape[1] != maps.shape[2]  # as pychx saves them
    return Stored("NSLS-II, pychx (.npy)" if last else ".npy", *_array(maps, str(path), 2 if last else 0), np.nan)


def began(file: h5py.File) -> float | None:
    """Return the start of the run, from the entry or from the metadata of pychx; None if it is not there."""
    value = file["md"].attrs.get("start_time") if is_there(file, "md") else None
    if is_there(file, "entry/start_time"):
        value = file["entry/start_time"][()]
    try:
        text = _text(np.ravel(value)[0])  # type: ignore[arg-type]
        return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, IndexError, UnicodeDecodeError):
        return None
