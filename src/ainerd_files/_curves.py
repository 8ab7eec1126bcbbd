"""g2 in result files: NXxpcs, both layouts of boost_corr, pychx, and our own.

References
----------
NXxpcs: NeXus contributed definitions, ``NXxpcs.nxdl.xml`` of 2026: ``entry/data``, ``entry/instrument/masks``.
boost_corr 1.2, ``/xpcs/multitau`` with ``/entry``: its ``xpcs_aps_8idi/aps_8idi.py``, ``help_functions.gen_tau_bin``.
``/exchange`` with ``/measurement``: boost_corr before 2025 and 8-ID-I before that (``/exchange/norm-0-g2``,
``/exchange/tau`` times ``/measurement/instrument/detector/exposure_period``).
pychx 4.4: ``Create_Report.export_xpcs_results_to_h5`` and ``save_res_h5``: g2 (lags, bins) over ``taus`` in seconds,
which begin with 0, attributes of ``qval_dict``: q in 1/Å by the number of the bin from 0.
"""

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_files._curves_of_bins import Curve, Curves
from ainerd_files._fields import dataset, frame_time, number, numbers, opened, positive
from ainerd_files._layouts import CURVES, OURS, found, is_there
from ainerd_xpcs.numerics import Partition

LARGEST = 1e30  # g2, in magnitude: the squares of larger numbers overflow in a fit
_NO_BINS, _NO_Q = np.empty(0, np.int64), np.empty(0)


def read_curves(path: str | PathLike[str], *, frame_time_s: float | None = None) -> Curves:
    """Read g2 from a result file of another program.

    Parameters
    ----------
    path : path-like
    frame_time_s : float, optional
        Seconds from one correlated frame to the next; by default that of the file.

    Raises
    ------
    ValueError
        If the file has no g2 in a known layout, or its datasets are inconsistent; the message names the dataset.

    Examples
    --------
    >>> import h5py
    >>> with h5py.File(folder / "result.hdf", "w") as file:
    ...     file["entry/data/g2"], file["entry/data/delay_difference"] = np.full((12, 3), 1.1), np.arange(1, 13)
    ...     file["entry/instrument/detector/frame_time"] = 0.1
    >>> curves = read_curves(folder / "result.hdf")
    >>> curves.layout, curves.g2.shape, float(curves.tau_s[0])
    ('NXxpcs', (3, 12), 0.1)
    """
    with opened(path) as file:
        name = found(file, CURVES, "g2")
        curves = _READ[name](file, frame_time_s)
        lags = curves.tau_s
        some = np.isfinite(lags) & (lags > 0)  # some programs store lag 0, which holds shot noise
        if not some.any() or np.isnan(lags).any() or (lags < 0).any() or not np.isfinite(curves.g2[:, some]).any():
            raise ValueError(f"the lags of {name} are not positive numbers, or no g2 is a number")
        largest = np.nanmax(np.where(np.isfinite(curves.g2), np.abs(curves.g2), np.nan))
        if largest > LARGEST:
            raise ValueError(f"{name} holds {largest:.3g}, and no g2 is so large")
        order = np.flatnonzero(some)[np.argsort(lags[some], kind="stable")]
        curves = replace(curves, tau_s=lags[order], g2=curves.g2[:, order], error=curves.error[:, order])
        return _with_bins(curves, file, path)


def bins_of(file: h5py.File, path: str | PathLike[str]) -> Partition:
    """Return the bins on the detector of any layout, q in 1/nm; raise ValueError if the file has none."""
    name = next((name for name in _PYCHX_MAPS if is_there(file, name)), None)
    if name is None:
        return Partition.load(path)
    roi_map = np.squeeze(dataset(file, name)[()])
    return Partition.from_roi_map(roi_map.astype(np.int64), q=pychx_q(file, int(roi_map.max())))


def labels_of(file: h5py.File, partition: Partition) -> NDArray[np.int64] | None:
    """Return the label in the file of each bin of its partition, (n_roi,): some labels may have no good pixel.

    None for files of pychx, whose arrays have the bins that are in the map, in order, and without a map.
    """
    name = next((name for name in _ROI_MAPS if is_there(file, name)), None)
    if name is None:
        return None
    pixels = np.squeeze(dataset(file, name)[()]).ravel()[partition.pixels]
    return np.asarray(pixels[np.append(0, np.cumsum(partition.n_pixels)[:-1])].astype(np.int64))


def pychx_q(file: h5py.File, n_roi: int) -> Curve:
    """Return q in 1/nm of the bins of a file of pychx, (n_roi,): the first number of each entry of ``qval_dict``."""
    q = np.full(n_roi, np.nan)
    entries = dict(file["qval_dict"].attrs) if "qval_dict" in file else {}
    for key, value in entries.items():
        if str(key).isdigit() and int(key) < n_roi:
            q[int(key)] = 10 * float(np.ravel(value)[0])
    return q


def mean_counts(file: h5py.File, partition: Partition) -> Curve:
    """Return photons per pixel and frame of each bin, (n_roi,), from the file's mean frame; NaN without one."""
    name = next((name for name in _IMAGES if is_there(file, name)), None)
    image = np.empty(0) if name is None else np.squeeze(dataset(file, name)[()]).astype(float)
    if image.shape != partition.shape:
        return np.full(partition.n_roi, np.nan)
    good = np.isfinite(image) & (partition.roi_map > 0)
    bins, n = partition.roi_map[good] - 1, partition.n_roi
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(bins, image[good], n) / np.bincount(bins, minlength=n))


def _with_bins(curves: Curves, file: h5py.File, path: str | PathLike[str]) -> Curves:
    try:
        partition = bins_of(file, path)
    except ValueError as err:
        is_known = np.isfinite(curves.q).any()
        return curves if is_known else replace(curves, no_partition=str(err))
    n = len(curves.g2)
    if curves.layout == "ainerd" and partition.n_roi == n:
        return replace(curves, partition=partition)
    labels = labels_of(file, partition)
    if partition.n_roi < n and labels is not None and labels.max() <= n:  # the other bins have no good pixel
        curves, n = curves.only(labels - 1), len(labels)
    if partition.n_roi != n:
        why = f"{path}: g2 is of {n} bins, the map has pixels of {partition.n_roi}"
        return replace(curves, no_partition=why)
    counts = curves.mean_counts * mean_counts(file, partition)  # so far, frames that were averaged to one
    n_pixels = partition.n_pixels.astype(float)
    return replace(
        curves, partition=partition, q=partition.q, phi=partition.phi, numbers=partition.numbers, n_pixels=n_pixels,
        mean_counts=counts,
    )  # fmt: skip


def _curves(
    layout: str, tau_s: Curve, g2: Curve, error: Curve, *, averaged: float = 1.0, q: Curve = _NO_Q, phi: Curve = _NO_Q,
    bins: NDArray[np.int64] = _NO_BINS, **known: Any,
) -> Curves:  # fmt: skip
    """Return curves without the part that bins on the detector add; each correlated frame is a mean of `averaged`."""
    unknown = np.full(len(g2), np.nan)
    bins = bins if bins.size == len(g2) else np.arange(1, len(g2) + 1)
    q, phi = (x if x.size == len(g2) else unknown for x in (q, phi))
    known |= {"n_pixels": unknown, "mean_counts": np.full(len(g2), averaged)}
    return Curves(layout, tau_s, g2, error, q=q, phi=phi, numbers=bins, **known)


def _boost_corr(file: h5py.File, frame_time_s: float | None) -> Curves:
    group = file["xpcs/multitau"]
    lags = numbers(group, "delay_list", "frame")
    averaged = positive(group, "config/avg_frame", 1.0)
    if frame_time_s is None:
        frame_time_s = frame_time(file) * averaged * positive(group, "config/stride_frame", 1.0)
    g2, error = (_by_lag(group, name, lags) for name in ("normalized_g2", "normalized_g2_err"))
    return _curves(
        "APS, boost_corr", frame_time_s * lags, g2, error, averaged=averaged, frame_time_s=frame_time_s,
        n_frames=_length(file, "xpcs/spatial_mean/intensity_vs_time"), n_files=_n_files(file),
    )  # fmt: skip


def _old(file: h5py.File, frame_time_s: float | None) -> Curves:
    group = file["exchange"]
    lags, averaged = numbers(group, "tau", "frame"), number(file, "xpcs/avg_frames", 1.0)
    if frame_time_s is None:
        several = [name for name in ("xpcs/avg_frames", "xpcs/stride_frames") if number(file, name, 1.0) != 1]
        if several:
            raise ValueError(f"{several[0]} is not 1: give --frame-time, the seconds from one lag to the next")
        frame_time_s = frame_time(file, ("measurement/instrument/detector/exposure_period",))
    g2, error = (_by_lag(group, name, lags) for name in ("norm-0-g2", "norm-0-stderr"))
    return _curves(
        "APS, 8-ID-I and boost_corr before 2025", frame_time_s * lags, g2, error, averaged=averaged,
        frame_time_s=frame_time_s, n_frames=_length(file, "exchange/frameSum"), n_files=_n_files(file),
    )  # fmt: skip


def _nexus(file: h5py.File, frame_time_s: float | None) -> Curves:
    group = file["entry/data"]
    lags = numbers(group, "delay_difference", "frame")
    time_s = frame_time(file) if frame_time_s is None else frame_time_s
    tau_s = time_s * lags
    if frame_time_s is None and is_there(group, "tau") and numbers(group, "tau").size == lags.size:
        tau_s = numbers(group, "tau", "s")  # ours: lags of frames that come at any times are no whole frames
    g2, error = (by_storage(group, name, lags.size) for name in ("g2", "g2_derr"))
    error = np.full_like(g2, np.nan) if error.shape != g2.shape else _errors(group, "g2_derr", error)
    beside, bins = "entry/provenance/bins", stated_bins(group)  # of our exports
    known: dict[str, Any] = {
        name: numbers(file, f"{beside}/{name}") for name in ("q", "phi") if is_there(file, f"{beside}/{name}")
    }
    return _curves("NXxpcs", tau_s, g2, error, frame_time_s=time_s, bins=bins, **known)


def _pychx(file: h5py.File, frame_time_s: float | None) -> Curves:
    lags = numbers(file, "taus", "s")
    if frame_time_s is not None:
        raise ValueError("taus holds the lags in seconds: leave --frame-time out")
    g2, error = (_by_lag(file, name, lags) for name in ("g2", "g2_err"))
    step = lags[lags > 0].min(initial=np.inf)
    return _curves(
        "NSLS-II, pychx", lags, g2, error, q=pychx_q(file, len(g2)), frame_time_s=float(step),
        n_frames=_length(file, "imgsum"),
    )  # fmt: skip


def _ours(file: h5py.File, frame_time_s: float | None) -> Curves:
    """Read the curves that `ainerd analyze` and `ainerd average` write."""
    if frame_time_s is not None:
        raise ValueError("tau holds the lags in seconds: leave --frame-time out")
    lags, bins = numbers(file, "tau"), numbers(file, OURS).astype(np.int64)
    g2, error = (np.asarray(dataset(file, name)[()], dtype=float) for name in ("g2", "g2_err"))
    if g2.shape != (bins.size, lags.size):
        raise ValueError(f"g2 has shape {g2.shape}, expected ({bins.size} bins, {lags.size} lags)")
    known = {name: numbers(file, f"bins/{name}") for name in _OF_BINS if is_there(file, f"bins/{name}")}
    of_bins: dict[str, Any] = {name: known.get(name, np.full(bins.size, np.nan)) for name in _OF_BINS}
    about = {name: file.attrs[name] for name in ("frame_time_s", "n_files", "n_frames") if name in file.attrs}
    return Curves(
        "ainerd", lags, g2, _errors(file, "g2_err", error), numbers=bins, **of_bins,
        frame_time_s=float(about.get("frame_time_s", np.nan)),
        n_files=int(about.get("n_files", 1)), n_frames=int(about["n_frames"]) if "n_frames" in about else None,
    )  # fmt: skip


def _by_lag(group: h5py.Group, name: str, lags: Curve) -> Curve:
    """Read a dataset (lags, bins) as (bins, lags); missing errors are NaN."""
    if not is_there(group, name) and name not in _G2:
        bins = _by_lag(group, next(g2 for g2 in _G2 if is_there(group, g2)), lags)
        return np.full_like(bins, np.nan)
    values = np.asarray(dataset(group, name)[()], dtype=float)
    if values.ndim != 2 or len(values) != lags.size:
        raise ValueError(f"{group.name.rstrip('/')}/{name} has shape {values.shape}, expected ({lags.size} lags, bins)")
    return values.T if name in _G2 else _errors(group, name, values.T)


def _errors(group: h5py.Group, name: str, values: Curve) -> Curve:
    if (values < 0).any():
        where = f"{group.name.rstrip('/')}/{name}"
        raise ValueError(f"{where} holds negative errors (smallest {values[values < 0].min():.3g})")
    return values


def by_storage(group: h5py.Group, name: str, n_lags: int) -> Curve:
    """Read a field of NXxpcs as (bins, lags): one array, lags first unless its mode differs, or a key for each bin."""
    field = group.get(name)
    if field is None:
        return np.empty((0, n_lags))
    if isinstance(field, h5py.Group):  # data_exchange_keys
        keys = sorted(field, key=lambda key: (len(key), key))
        values, mode = np.array([numbers(field, key) for key in keys]), "one_array_q_first"
    else:
        values, mode = np.asarray(dataset(group, name)[()], dtype=float), str(field.attrs.get("storage_mode", ""))
    values = np.atleast_2d(values)
    if values.ndim != 2 or n_lags not in values.shape:
        raise ValueError(f"{group.name}/{name} has shape {values.shape}, and there are {n_lags} lags")
    first_is_q = mode == "one_array_q_first" or values.shape[0] != n_lags
    return values if first_is_q and values.shape[1] == n_lags else values.T


def stated_bins(group: h5py.Group) -> NDArray[np.int64]:
    """Return the numbers of the bins in a group of our exports, its axis ``bin``; empty without it."""
    given = numbers(group, "bin").astype(np.int64) if is_there(group, "bin") else _NO_BINS
    return given if np.unique(given[given > 0]).size == given.size else _NO_BINS


def _length(file: h5py.File, name: str) -> int | None:
    """Return the longest side of a dataset, the number of frames of an I(t) with or without times; None without it."""
    return max(dataset(file, name).shape) if is_there(file, name) else None


def _n_files(file: h5py.File) -> int:
    """Return how many files were averaged: the longest list of names in a group ``average``, as of pyXpcsViewer."""
    groups = [file[name] for name in _AVERAGES if isinstance(file.get(name), h5py.Group)]
    lists = [x for group in groups for x in group.values() if isinstance(x, h5py.Dataset) and x.dtype.kind in "OS"]
    return max([1, *(int(x.size) for x in lists)])


_OF_BINS = ("q", "phi", "n_pixels", "mean_counts")
_G2 = ("normalized_g2", "norm-0-g2", "g2")
_AVERAGES = ("xpcs/average", "exchange/average", "entry/average", "average")
_IMAGES = ("xpcs/temporal_mean/scattering_2d", "exchange/pixelSum", "entry/data/frame_average", "avg_img")
_PYCHX_MAPS = ("roi_mask", "roi")
_ROI_MAPS = ("entry/instrument/masks/dynamic_roi_map", "xpcs/qmap/dynamic_roi_map", "xpcs/dqmap")
_READ: dict[str, Callable[[h5py.File, float | None], Curves]] = dict(
    zip(CURVES, (_nexus, _boost_corr, _old, _pychx, _ours), strict=True)
)
