"""Files with two-time maps and g2 in the layouts of other programs, written after published descriptions.

boost_corr: ``twotime.py`` and ``xpcs_result.py`` of its version 1.2, and the names in pyXpcsViewer,
``core/file_io/aps_8idi.py``. NXxpcs: its definition.
"""

import h5py
import numpy as np

T, FRAME_S, Q = 128, 0.02, np.array([0.02, 0.04, 0.06, 0.08])  # q in 1/nm
MAP = np.repeat([0, 1, 2, 3, 4], 30).reshape(15, 10)
PROCESSED = [1, 3, 4]  # bin 2 was not processed
DEAD = 40  # a frame without photons


def movie(seed=0, photons=20.0, tau=30.0, n_frames=T):
    """Counts (frames, pixels) of the used pixels, whose intensity fluctuates with a memory of `tau` frames."""
    rng, n = np.random.default_rng(seed), np.count_nonzero(MAP)
    keep = np.exp(-1 / tau)
    field = np.empty((n_frames, n, 4), complex)
    field[0] = rng.normal(size=(n, 4, 2)) @ [1, 1j]
    for t in range(1, n_frames):
        field[t] = keep * field[t - 1] + np.sqrt(1 - keep**2) * (rng.normal(size=(n, 4, 2)) @ [1, 1j])
    counts = rng.poisson(photons * np.square(np.abs(field)).mean(2) / 2)
    counts[DEAD] = 0
    return counts


def correlations(counts):
    """The maps of each bin by the formula of boost_corr and pychx; a frame without photons has a row of 0."""
    maps = []
    for label in range(1, 5):
        of_bin = counts[:, MAP[MAP > 0] == label].astype(float)
        total = np.maximum(of_bin.sum(1), 1)
        maps.append(of_bin @ of_bin.T * of_bin.shape[1] / total[:, None] / total)
    return np.array(maps)


def boost_corr(file, maps, *, prefix="xpcs/twotime/correlation_map"):
    for k, label in enumerate(PROCESSED, start=1):
        file[f"{prefix}/c2_{k:05d}"] = np.triu(maps[label - 1]).astype(np.float32)
    file["xpcs/twotime/processed_bins"] = PROCESSED
    file["xpcs/twotime/config/avg_frame"], file["xpcs/twotime/config/stride_frame"] = 2, 1
    file["entry/instrument/detector_1/frame_time"] = FRAME_S / 2
    file["entry/start_time"] = "2026-03-01T08:00:00+00:00"
    file["xpcs/temporal_mean/scattering_2d"] = 0.5 * MAP[None]
    bins_of_boost_corr(file, MAP, Q)


def bins_of_boost_corr(file, roi_map, q):
    bins = file.create_group("xpcs/qmap")
    bins["dynamic_roi_map"], bins["mask"] = roi_map.astype("u4"), np.ones(roi_map.shape, "u1")
    bins["map_names"], bins["dynamic_index_mapping"] = [b"q", b"phi"], np.arange(len(q))
    bins["dynamic_v_list_dim0"], bins["dynamic_v_list_dim1"] = q / 10, [0.0]


def curves_of_boost_corr(file, lags, g2, error, frame_s, averaged=1):
    """Write g2 (bins, lags) of means of frames, and its errors."""
    group = file.create_group("xpcs/multitau")
    group["delay_list"], group["normalized_g2"], group["normalized_g2_err"] = lags[None], g2.T, error.T
    group["config/avg_frame"], group["config/stride_frame"] = averaged, 1
    frame_time = "entry/instrument/detector_1/frame_time"
    if frame_time not in file:
        file[frame_time] = frame_s / averaged


def nexus(file, maps, *, mode="one_array_q_first", half="all", origin="upper_left", baseline=1):
    stored = {"all": lambda x: x, "upper_half": np.triu, "lower_half": np.tril}[half](maps + baseline - 1)
    stored = stored[:, ::-1] if origin == "lower_left" else stored
    if mode == "data_exchange_keys":
        for k, c2 in enumerate(stored, start=1):
            file[f"entry/twotime/two_time_corr_func/{k}"] = c2
    else:
        file["entry/twotime/two_time_corr_func"] = stored if mode.endswith("first") else np.moveaxis(stored, 0, -1)
    about = {"storage_mode": mode, "baseline_reference": baseline, "time_origin_location": origin}
    file["entry/twotime/two_time_corr_func"].attrs.update(about | {"populated_elements": half})
    file["entry/instrument/detector/frame_time"] = FRAME_S
    masks = file.create_group("entry/instrument/masks")
    masks["dynamic_roi_map"], masks["dynamic_q_list"] = MAP, Q


def write(path, layout, maps, **options):
    with h5py.File(path, "w") as file:
        layout(file, maps, **options)
    return path
