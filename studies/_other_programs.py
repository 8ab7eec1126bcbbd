"""Two-time maps as boost_corr and pychx make them from frames, in their files, by no code of ainerd.

boost_corr 1.2, ``twotime.py``: each frame is divided by its means over the static bins, and by its mean over the
dynamic bin; the upper half is stored, with the diagonal. pychx 4.4, ``auto_two_Arrayc``: each frame is divided by its
mean over the bin; all is stored.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis
from ainerd_files import MapFile, Noises, analyse_maps, map_numbers, technique_of
from ainerd_xpcs import Partition
from ainerd_xpcs.technique import Numbers, filled

STATIC = 150  # pixels of a static bin of boost_corr
FRAME_S = 0.01
Layout = Callable[[h5py.File, NDArray, Partition], None]


def boost_corr(file: h5py.File, counts: NDArray, bins: Partition) -> None:
    """Write the maps of frames (n, ny, nx) in the layout of boost_corr."""
    frames, labels = counts.reshape(len(counts), -1).astype(np.float32), bins.roi_map.ravel()
    for k in range(1, bins.n_roi + 1):
        pixels = np.flatnonzero(labels == k)
        for some in np.array_split(pixels, max(pixels.size // STATIC, 1)):
            mean = frames[:, some].mean(1)
            frames[:, some] /= np.where(mean > 0, mean, 1)[:, None]
        of_bin = frames[:, pixels]
        factor = of_bin.sum(1)
        factor = 1 / np.where(factor > 0, factor, 1)
        c2 = of_bin @ of_bin.T * factor * factor[:, None] * pixels.size
        file[f"xpcs/twotime/correlation_map/c2_{k:05d}"] = np.triu(c2)
    file["xpcs/twotime/processed_bins"] = np.arange(1, bins.n_roi + 1)
    file["entry/instrument/detector_1/frame_time"] = FRAME_S
    group = file.create_group("xpcs/qmap")
    group["dynamic_roi_map"], group["mask"] = bins.roi_map, np.ones(bins.shape, "u1")
    group["map_names"] = [b"q", b"phi"]
    group["dynamic_v_list_dim0"], group["dynamic_v_list_dim1"] = bins.q[:1] / 10, bins.phi
    group["dynamic_index_mapping"] = np.arange(bins.n_roi)


def pychx(file: h5py.File, counts: NDArray, bins: Partition) -> None:
    """Write the maps of frames (n, ny, nx) in the layout of pychx, whose bins have no azimuth."""
    frames, labels = counts.reshape(len(counts), -1).astype(float), bins.roi_map.ravel()
    maps = np.empty((len(counts), len(counts), bins.n_roi))
    for k in range(1, bins.n_roi + 1):
        of_bin = frames[:, labels == k]
        mean = of_bin.mean(1)
        with np.errstate(divide="ignore", invalid="ignore"):  # a frame without photons
            maps[:, :, k - 1] = of_bin @ of_bin.T / mean / mean[:, None] / of_bin.shape[1]
    file["g12b"], file["tausb"], file["roi_mask"] = maps, FRAME_S * np.arange(len(counts)), bins.roi_map
    file.create_dataset("md", (1,), dtype="i").attrs["frame_time"] = FRAME_S
    for k in range(bins.n_roi):
        file.require_dataset("qval_dict", (1,), dtype="i").attrs[str(k)] = bins.q[k : k + 1] / 10


def with_g2(file: h5py.File, counts: NDArray, bins: Partition) -> None:
    """Write maps, and g2 in the layout of boost_corr, with errors from the scatter of the ratios of pixels."""
    boost_corr(file, counts, bins)
    frames, labels = counts.reshape(len(counts), -1).astype(float), bins.roi_map.ravel()
    lags, values, errors = [], [], []
    level = 0
    while len(frames) > 8:
        for lag in range(5 if level else 1, 9):
            if lag < len(frames):
                before, after = frames[:-lag], frames[lag:]
                products, means = (before * after).mean(0), np.stack([before.mean(0), after.mean(0)])
                of_bins = [np.flatnonzero(labels == k) for k in range(1, bins.n_roi + 1)]
                lags.append(lag << level)
                values.append([products[some].mean() / means[:, some].mean(1).prod() for some in of_bins])
                ratios = [products[some] / np.maximum(means[:, some].prod(0), 1e-9) for some in of_bins]
                errors.append([x.std() / np.sqrt(x.size) for x in ratios])
        frames, level = frames[: len(frames) // 2 * 2].reshape(-1, 2, frames.shape[1]).mean(1), level + 1
    group = file.create_group("xpcs/multitau")
    group["delay_list"], group["normalized_g2"], group["normalized_g2_err"] = lags, values, errors
    file["xpcs/temporal_mean/scattering_2d"] = counts.mean(0)[None]
    file["xpcs/spatial_mean/intensity_vs_time"] = counts.mean((1, 2))


PROGRAMS: dict[str, Layout] = {"boost_corr": boost_corr, "pychx": pychx}


def fitted(layout: Layout, counts: NDArray, bins: Partition) -> Numbers:
    """Return the fits of the file that a program would write, without a p-value."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "result.hdf")
        with h5py.File(path, "w") as file:
            layout(file, counts, bins)
        with MapFile(path) as maps:
            read = np.array(list(maps.maps()))
            whole = filled(read)
            noises = Noises(technique_of(maps.partition), maps.neighbours, whole, has_pixels=True)
            return map_numbers(maps, noises, None)


def analysed(program: str, counts: NDArray, bins: Partition) -> Analysis:
    """Return the analysis of the file that a program would write."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "result.hdf")
        with h5py.File(path, "w") as file:
            PROGRAMS[program](file, counts, bins)
        with MapFile(path) as maps:
            return analyse_maps(maps, technique_of(maps.partition))
