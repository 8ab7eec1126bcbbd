"""A result in an HDF5 file: NXxpcs (NeXus application definition, 2026), and the group ``/xpcs`` of the files of APS.

pyXpcsViewer reads the latter (its core.file_io, version 1.2). The definition allows phi only in 1/length, by mistake,
and photons without a unit.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd.results import LoadedResult, ResultRecord, ResultStore, new_file
from ainerd_xpcs.technique.field import q_of_pixels

ENDINGS = (".nxs", ".h5", ".hdf5")


def export(store: ResultStore, key: str, path: Path) -> Path:
    """Write an HDF5 file that follows NXxpcs, which pyXpcsViewer opens too.

    Raises ValueError if there is one, or if its name ends otherwise than such files.

    The masks of the bins and the groups of pyXpcsViewer are written only if the store has the configuration of the
    result, which contains the pixels of each map, and the bins are those of the settings.
    """
    if path.suffix not in ENDINGS:
        raise ValueError(f"{path}: give a name that ends in {', '.join(ENDINGS)}")
    (result,) = store.load([store.key(key)])
    record = ResultRecord.from_metadata(result.metadata)
    configuration = None if "bins_of" in record.summary else store.configuration(record.digest)
    with new_file(path) as part, h5py.File(part, "w") as file:
        write_nexus(file, record, result, configuration)
        has_all = {"c2", "g2", "tau"} <= set(result.arrays)
        if has_all and configuration is not None and MASKS <= set(configuration.arrays):
            write_viewer(file, record, result.arrays, configuration)
    return path


def unbinned(mean_frame: NDArray[np.float32], factor: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Expand a binned mean frame to the pixels of the detector, (ny, nx)."""
    return mean_frame.repeat(factor, axis=0).repeat(factor, axis=1)[: shape[0], : shape[1]]


def ring_map(q: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the nearest ring of each pixel, from 1, given q of the pixels (ny, nx) and of the rings."""
    borders = (centres[:-1] + centres[1:]) / 2
    return (np.searchsorted(borders, q) + 1).astype(np.int32)


def resampled(values: NDArray[Any], centres: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Resample means over equal intervals around `centres` (the last may be short) to `n` equal parts of a run.

    Intervals of NaN, without a frame, do not count; a part in which there is no other is NaN.
    """
    step = 2 * centres[0]
    edges = np.append(np.arange(centres.size) * step, 2 * centres[-1] - (centres.size - 1) * step)
    parts, lengths = np.linspace(0.0, edges[-1], n + 1), np.isfinite(values) * np.diff(edges)
    total, seen = (
        np.diff(np.interp(parts, edges, np.append(0.0, np.cumsum(x))))
        for x in (np.nan_to_num(values) * lengths, lengths)
    )
    return np.asarray(np.divide(total, seen, out=np.full(n, np.nan), where=seen > 1e-9 * edges[-1]))


Arrays = Mapping[str, NDArray[Any]]

SAXS, INTENSITY = ("saxs", "saxs_q"), ("intensity", "intensity_total", "intensity_time")
# arrays with a group of their own
NAMED = {"c2", "g2", "g2_err", "tau", *SAXS, *INTENSITY}
LAGS_FIRST: dict[str, Any] = {"storage_mode": "one_array"}
Q_FIRST: dict[str, Any] = {"storage_mode": "one_array_q_first", "baseline_reference": 1}
MAPS = Q_FIRST | {"time_origin_location": "upper_left", "populated_elements": "all"}
# Names in ``masks``, names of the arrays of a configuration, and units.
MASK_NAMES = (
    ("dynamic_q_list", "q", "1/nm"),
    ("static_roi_map", "static_map", ""),
    ("static_q_list", "static_q", "1/nm"),
)


def write_nexus(
    file: h5py.File, record: ResultRecord, result: LoadedResult, configuration: LoadedResult | None
) -> None:
    """Write the entry.

    The mean frame is ``data/frame_average``, over all pixels of the detector, in photons per pixel and frame; I(q) and
    I(t) are groups NXdata. Data for which NXxpcs has no name, such as the parameters and the verdict, are in
    ``provenance``, an NXcollection.
    """
    file.attrs["default"] = "entry"
    entry = _group(file, "entry", "NXentry")
    entry["definition"] = "NXxpcs"
    entry["entry_identifier"] = str(record.scan_id) if record.scan_id is not None else record.key
    entry["entry_identifier_uuid"] = record.raw_uid
    entry["scan_number"] = -1 if record.scan_id is None else record.scan_id
    if record.run_time is not None:
        entry["start_time"] = datetime.fromtimestamp(record.run_time, UTC).isoformat()
        if record.n_frames and record.frame_time_s:
            end = record.run_time + record.n_frames * record.frame_time_s
            entry["end_time"] = datetime.fromtimestamp(end, UTC).isoformat()
    arrays, numbers = result.arrays, result.tables["bins"]["bin"].to_numpy()
    _correlations(entry, record, arrays, numbers)
    _beam(entry, record, arrays, configuration)
    _instrument(_group(entry, "instrument", "NXinstrument"), record, numbers, configuration)
    _sample(_group(entry, "sample", "NXsample"), record, {name: result.tables[name] for name in record.series})
    process = _group(entry, "process", "NXprocess")
    process["program"], process["version"] = str(record.software["name"]), str(record.software["version"])
    process["date"] = record.created
    _provenance(
        _group(entry, "provenance", "NXcollection"),
        record,
        arrays,
        {name: result.tables[name] for name in record.tables},
    )


def _correlations(entry: h5py.Group, record: ResultRecord, arrays: Arrays, numbers: NDArray[np.int64]) -> None:
    if {"g2", "tau"} <= set(arrays):
        entry.attrs["default"] = "data"
        data = _group(entry, "data", "NXdata", signal="g2", axes=["tau", "bin"])
        _put(data, "bin", numbers)
        for name, ours in (("g2", "g2"), ("g2_derr", "g2_err")):
            _put(data, name, arrays[ours].T if ours in arrays else None, **LAGS_FIRST)
        if record.frame_time_s:
            lags = np.rint(arrays["tau"] / record.frame_time_s).astype(int)
            _put(data, "delay_difference", lags, units="", **LAGS_FIRST)
        _put(data, "tau", arrays["tau"], "s")
    if "c2" in arrays:
        size = arrays["c2"].shape[-1]
        known = record.n_frames and record.frame_time_s
        row_s = record.n_frames / size * record.frame_time_s if record.n_frames and record.frame_time_s else 1.0
        maps = _group(entry, "twotime", "NXdata", signal="two_time_corr_func", axes=["bin", "t1", "t2"])
        _put(maps, "two_time_corr_func", arrays["c2"], **MAPS)
        _put(maps, "g2_from_two_time_corr_func", along_diagonals(arrays["c2"]), first_point_for_fit=0, **Q_FIRST)
        _put(maps, "bin", numbers)
        for name in ("t1", "t2"):
            _put(maps, name, row_s * np.arange(size), "s" if known else "")


def _beam(entry: h5py.Group, record: ResultRecord, arrays: Arrays, configuration: LoadedResult | None) -> None:
    roi_map = None if configuration is None else configuration.arrays.get("roi_map")
    if "mean_frame" in arrays and roi_map is not None:
        data = entry["data"] if "data" in entry else _group(entry, "data", "NXdata")
        image = unbinned(arrays["mean_frame"], int(record.summary["mean_frame_binning"]), roi_map.shape)
        _put(data, "frame_average", image, units="")
    if set(SAXS) <= set(arrays):
        saxs = _group(entry, "saxs", "NXdata", signal="I", axes="Q")
        _put(saxs, "Q", arrays["saxs_q"], "1/nm")
        _put(saxs, "I", arrays["saxs"], record.units.get("saxs", ""))
    if set(INTENSITY) <= set(arrays):
        intensity = _group(entry, "intensity", "NXdata", signal="total", axes="time")
        _put(intensity, "time", arrays["intensity_time"], "s")
        _put(intensity, "total", arrays["intensity_total"], record.units.get("intensity_total", ""))
        _put(intensity, "bins", arrays["intensity"], record.units.get("intensity", ""))


def _instrument(
    instrument: h5py.Group, record: ResultRecord, numbers: NDArray[np.int64], configuration: LoadedResult | None
) -> None:
    known = {} if configuration is None else configuration.metadata["instrument"]
    beam = _group(instrument, "incident_beam", "NXbeam")
    detector = _group(instrument, "detector", "NXdetector")
    detector.attrs["target"] = detector.name
    instrument["detector_1"] = h5py.SoftLink(detector.name)  # the name at APS
    _put(detector, "description", known.get("detector"))
    pixel_m = known.get("pixel_m")
    row_m, column_m = (
        None if pixel_m is None or name not in known else float(known[name] or 0) * float(pixel_m)
        for name in ("beam_center_row_px", "beam_center_column_px")
    )
    for group, name, value, unit in (
        (beam, "incident_energy", known.get("energy_keV"), "keV"),
        (detector, "distance", known.get("distance_m"), "m"),
        (detector, "x_pixel_size", pixel_m, "m"),
        (detector, "y_pixel_size", pixel_m, "m"),
        (detector, "beam_center_x", column_m, "m"),
        (detector, "beam_center_y", row_m, "m"),
        (detector, "frame_time", record.frame_time_s, "s"),
        (detector, "count_time", np.nan, "s"),  # a result has the time from frame to frame alone
    ):
        _put(group, name, value, unit)
    if configuration is not None:
        masks = _group(instrument, "masks", "NXnote")
        if "roi_map" in configuration.arrays:  # there it has the rows of the arrays, from 1
            _put(masks, "dynamic_roi_map", np.append(0, numbers)[configuration.arrays["roi_map"]])
        for name, ours, unit in MASK_NAMES:
            _put(masks, name, configuration.arrays.get(ours), unit)
        _put(_group(masks, "bins", "NXcollection"), "phi", configuration.arrays.get("phi"), "degree")
    run = instrument.create_group("bluesky/metadata")
    for name in ("raw_uid", "raw_path", "scan_id", "event", "suggestion_id"):
        _put(run, name, getattr(record, name))


def _sample(sample: h5py.Group, record: ResultRecord, series: Mapping[str, pd.DataFrame]) -> None:
    numbers = {**record.summary, **record.positions}
    if (known := next((name for name in ("temperature", "temperature_mean") if name in numbers), None)) is not None:
        _put(sample, "temperature", numbers[known], record.units.get(known, ""))
    for name, value in record.positions.items():
        _put(_group(sample, _free(sample, name, "knob"), "NXpositioner"), "value", value, record.units.get(name, ""))
    for name, table in series.items():
        log = _group(sample, _free(sample, name, "log"), "NXlog")
        _put(log, "time", table["time"].to_numpy(), "s")
        _put(log, "value", table[name].to_numpy(), record.units.get(name, ""))


def _free(group: h5py.Group, name: str, kind: str) -> str:
    """Return a name that the group does not have yet."""
    return f"{name}_{kind}" if name in group else name


def _provenance(about: h5py.Group, record: ResultRecord, arrays: Arrays, tables: Mapping[str, pd.DataFrame]) -> None:
    for name in ("parameters", "software", "model", "calibration", "units"):
        about[name] = json.dumps(getattr(record, name))
    about_result = "technique", "agent", "digest", "novelty_p", "novel", "regime", "atlas_version", "left_out"
    for name in (*about_result, "supersedes"):
        _put(about, name, getattr(record, name))
    about["key"], about["embedding"] = record.key, record.embedding
    others = {name: array for name, array in arrays.items() if name not in NAMED}
    groups: dict[str, Mapping[str, Any]] = {"summary": record.summary, "arrays": others}
    groups |= {name: {str(column): table[column].to_numpy() for column in table} for name, table in tables.items()}
    for kind, values in groups.items():
        group = _group(about, kind, "NXcollection")
        for name, value in values.items():
            _put(group, name, value, record.units.get(name, ""))


def along_diagonals(maps: NDArray[Any]) -> NDArray[np.float64]:
    """Average each map along its diagonals, without NaN: (n_roi, size), by lag in rows of the map."""
    known = np.isfinite(maps)
    total, n = (
        np.stack([np.diagonal(x, lag, 1, 2).sum(axis=-1, dtype=float) for lag in range(x.shape[-1])], axis=-1)
        for x in (np.where(known, maps, 0), known)
    )
    return np.asarray(np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0))


def _group(parent: h5py.Group, name: str, kind: str, **attributes: Any) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    group.attrs.update(attributes)
    return group


def _put(group: h5py.Group, name: str, value: Any, unit: str = "", **attributes: Any) -> None:
    """Write a dataset; a value of None writes nothing."""
    if value is None:
        return
    compression = "gzip" if np.ndim(value) > 1 else None
    if getattr(value, "dtype", None) is not None and value.dtype.kind in "OU":
        value = value.astype(h5py.string_dtype())
    group.create_dataset(name, data=value, compression=compression)
    if unit:
        group[name].attrs["units"] = unit
    group[name].attrs.update(attributes)


MASKS = {"roi_map", "static_map", "q", "phi"}  # required in the configuration


def write_viewer(
    file: h5py.File, record: ResultRecord, arrays: Mapping[str, NDArray[Any]], configuration: LoadedResult
) -> None:
    """Write the group; values that the result does not have are NaN.

    The viewer counts bins from 1, without holes. It has one time step for intensities, g2 and maps; here it is a row of
    the map. If I(q) is known, its rings are the viewer's static bins, over the whole detector.
    """
    n_roi, size, _ = arrays["c2"].shape
    known = configuration.metadata["instrument"]
    per_row = (record.n_frames or size) / size
    row_s = per_row * (record.frame_time_s or np.nan)
    frames = {"config/stride_frame": 1, "config/avg_frame": per_row}
    bins = _bins(configuration.arrays)
    q = q_of_pixels(bins["mask"].shape, known)
    if "saxs" in arrays and q is not None:
        bins |= _static(ring_map(q, arrays["saxs_q"]), arrays["saxs_q"] / 10)
    g2 = along_diagonals(arrays["c2"]).T
    image, total = np.full(bins["mask"].shape, np.nan, np.float32), np.full(size, np.nan)
    saxs = np.full((1, bins["static_num_pts"][0]), np.nan)
    if "mean_frame" in arrays:
        image = unbinned(arrays["mean_frame"], int(record.summary["mean_frame_binning"]), image.shape)
    if "saxs" in arrays and arrays["saxs"].size == saxs.size:
        saxs = arrays["saxs"][None]
    if "intensity_total" in arrays:
        total = resampled(arrays["intensity_total"], arrays["intensity_time"], size)
    groups: dict[str, dict[str, Any]] = {
        "entry": {
            "start_time": "",
            "instrument/incident_beam/incident_energy": np.nan,
            "instrument/detector/frame_time": np.nan,
            "instrument/detector/x_pixel_size": np.nan,
        },
        "xpcs/qmap": bins
        | {
            # ours counts from the corner of the first pixel, theirs from its centre
            "beam_center_x": float(known.get("beam_center_column_px", np.nan)) - 0.5,
            "beam_center_y": float(known.get("beam_center_row_px", np.nan)) - 0.5,
            "detector_distance": known.get("distance_m", np.nan),
            "pixel_size": known.get("pixel_m", np.nan),
        },
        "xpcs/temporal_mean": {"scattering_2d": image, "scattering_1d": saxs, "scattering_1d_segments": saxs},
        "xpcs/spatial_mean": {"intensity_vs_time": np.stack([per_row * np.arange(size), total])},
        "xpcs/multitau": {
            "delay_list": arrays["tau"] / row_s,
            "normalized_g2": arrays["g2"].T,
            "normalized_g2_err": arrays.get("g2_err", np.full_like(arrays["g2"], np.nan)).T,
            **frames,
        },
        "xpcs/twotime": {
            "delay_list": np.arange(size),
            "normalized_g2": g2,
            "normalized_g2_segments": g2[:, None],
            "processed_bins": np.arange(1, n_roi + 1),
            **frames,
        }
        | {f"correlation_map/c2_{k:05d}": np.triu(c2) for k, c2 in enumerate(arrays["c2"], start=1)},
    }
    for group, values in groups.items():
        for name, value in values.items():
            if f"{group}/{name}" not in file:
                compression = "gzip" if np.ndim(value) == 2 else None
                file.create_dataset(f"{group}/{name}", data=value, compression=compression)
    file["xpcs/qmap"].attrs["hash"] = configuration.metadata["digest"]


def _bins(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return both maps with their centres: q in 1/Å, and phi growing anticlockwise on a screen, opposite to ours."""
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
    """Return the static bins, with q in 1/Å."""
    numbers = {"static_num_pts": [len(q), 1], "static_index_mapping": np.arange(len(q))}
    return {"static_roi_map": static_map, "static_v_list_dim0": q, "static_v_list_dim1": [0.0], **numbers}
