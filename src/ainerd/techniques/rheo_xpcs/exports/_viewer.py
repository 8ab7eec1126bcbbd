"""The group ``/xpcs`` of the result files of APS, which pyXpcsViewer reads (its core.file_io, version 1.2)."""

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd.results import Configuration, ResultRecord
from ainerd.techniques.rheo_xpcs._field import q_of_pixels
from ainerd.techniques.rheo_xpcs.exports._beam import resampled, ring_map, unbinned
from ainerd.techniques.rheo_xpcs.exports._nexus import along_diagonals

MASKS = {"roi_map", "static_map", "q", "phi"}  # what a configuration must hold


def write_viewer(
    file: h5py.File, record: ResultRecord, arrays: Mapping[str, NDArray[Any]], configuration: Configuration
) -> None:
    """Write the group; what the result does not hold is NaN.

    The viewer has one step of time for intensities, g2 and maps: here it is a row of the map. Where I(q) is known, its
    rings are the viewer's static bins, over the whole detector.
    """
    n_roi, size, _ = arrays["c2"].shape
    known = configuration.record.instrument
    per_row = (record.n_frames or size) / size
    row_s = per_row * (record.frame_time_s or np.nan)
    bins = _bins(configuration.arrays)
    q = q_of_pixels(bins["mask"].shape, known)
    if "saxs" in arrays and q is not None:
        bins |= _static(ring_map(q, arrays["saxs_q"]), arrays["saxs_q"] / 10)
    g2 = along_diagonals(arrays["c2"]).T
    groups: dict[str, dict[str, Any]] = {
        "entry": {
            "start_time": "",
            "instrument/incident_beam/incident_energy": np.nan,
            "instrument/detector/frame_time": np.nan,
            "instrument/detector/count_time": np.nan,
            "instrument/detector/x_pixel_size": np.nan,
        },
        "xpcs/qmap": bins
        | {
            # ours are counted from the corner of the first pixel, theirs from its centre
            "beam_center_x": float(known.get("beam_center_column_px", np.nan)) - 0.5,
            "beam_center_y": float(known.get("beam_center_row_px", np.nan)) - 0.5,
            "detector_distance": known.get("distance_m", np.nan),
            "pixel_size": known.get("pixel_m", np.nan),
        },
        "xpcs/temporal_mean": _temporal_mean(record, arrays, bins),
        "xpcs/spatial_mean": {"intensity_vs_time": _intensity(arrays, size, per_row)},
        "xpcs/multitau": {
            "delay_list": arrays["tau"] / row_s,
            "normalized_g2": arrays["g2"].T,
            "normalized_g2_err": arrays.get("g2_err", np.full_like(arrays["g2"], np.nan)).T,
            "config/stride_frame": 1,
            "config/avg_frame": per_row,
        },
        "xpcs/twotime": {
            "delay_list": np.arange(size),
            "normalized_g2": g2,
            "normalized_g2_segments": g2[:, None],
            "processed_bins": np.arange(1, n_roi + 1),
            "config/stride_frame": 1,
            "config/avg_frame": per_row,
        }
        | {f"correlation_map/c2_{k:05d}": np.triu(c2) for k, c2 in enumerate(arrays["c2"], start=1)},
    }
    for group, values in groups.items():
        for name, value in values.items():
            if f"{group}/{name}" not in file:
                compression = "gzip" if np.ndim(value) == 2 else None
                file.create_dataset(f"{group}/{name}", data=value, compression=compression)
    file["xpcs/qmap"].attrs["hash"] = configuration.record.digest


def _temporal_mean(
    record: ResultRecord, arrays: Mapping[str, NDArray[Any]], bins: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """Mean frame, and I(q) of the static bins, of the run and of its parts."""
    shape, n_static = bins["mask"].shape, bins["static_num_pts"][0]
    image, saxs = np.full(shape, np.nan, np.float32), np.full((1, n_static), np.nan)
    parts = saxs
    if "mean_frame" in arrays:
        image = unbinned(arrays["mean_frame"], int(record.summary["mean_frame_binning"]), shape)
    if "saxs" in arrays and arrays["saxs"].size == n_static:
        saxs, parts = arrays["saxs"][None], arrays["saxs_segments"]
    return {"scattering_2d": image, "scattering_1d": saxs, "scattering_1d_segments": parts}


def _intensity(arrays: Mapping[str, NDArray[Any]], size: int, per_row: float) -> NDArray[np.float64]:
    """Number of the first frame and counts a pixel and frame, of each row of the map."""
    total = np.full(size, np.nan)
    if "intensity_total" in arrays:
        total = resampled(arrays["intensity_total"], arrays["intensity_time"], size)
    return np.stack([per_row * np.arange(size), total])


def _bins(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Both maps with their centres: q in 1/Å, and phi that grows anticlockwise on a screen, against ours."""
    roi_map, static_map = arrays["roi_map"], arrays["static_map"]
    q, index_q = np.unique(arrays["q"] / 10, return_inverse=True)
    phi, index_phi = np.unique(-arrays["phi"] % 360, return_inverse=True)
    static_q = arrays.get("static_q", np.full(int(static_map.max()), np.nan)) / 10
    return {
        "mask": (roi_map > 0).astype(np.uint8),
        "map_names": ["q", "phi"],
        "map_units": ["1/A", "deg"],
        "dynamic_roi_map": roi_map,
        "dynamic_v_list_dim0": q,
        "dynamic_v_list_dim1": phi,
        "dynamic_num_pts": [len(q), len(phi)],
        "dynamic_index_mapping": index_q * len(phi) + index_phi,
    } | _static(static_map, static_q)


def _static(static_map: NDArray[Any], q: NDArray[np.float64]) -> dict[str, Any]:
    """The static bins, with q in 1/Å."""
    return {
        "static_roi_map": static_map,
        "static_v_list_dim0": q,
        "static_v_list_dim1": [0.0],
        "static_num_pts": [len(q), 1],
        "static_index_mapping": np.arange(len(q)),
    }
