"""The smallest file of each format, and what each other dataset adds, as the tables of the documentation say.

The tables are read here: each dataset that is written must be in the cell of its row and format, and no other.
"""

import re
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest

from ainerd_files import MapFile, read_curves
from ainerd_xpcs.technique import rings
from tests.files.map_files import FRAME_S, MAP, Q, T, correlations, movie

PAGE = Path(__file__).parents[2] / "docs/how-to/behind-a-pipeline.md"
NUMBERS = np.array([0, 1, 3, 4, 6])  # of the unused pixels and of four bins
BINS = NUMBERS[MAP]
LAGS = np.arange(1, 13)
G2 = 1 + 0.2 * np.exp(-LAGS[:, None] / np.array([20, 10, 5, 3]))  # (lags, bins)
GOOD = np.ones(MAP.shape, int)
GOOD[-1] = 0
ERRORS = np.full_like(G2, 1e-3)
START = "2026-03-01T08:00:00+00:00"
MAPS = correlations(movie())

# The value of each dataset, or attribute, by format and by row of the table.
FILES = {
    "boost_corr": {
        "maps": {f"xpcs/twotime/correlation_map/c2_{k:05d}": c2 for k, c2 in enumerate(MAPS, start=1)},
        "time of a frame": {"entry/instrument/detector/frame_time": FRAME_S},
        "frames in a row": {"xpcs/twotime/config/avg_frame": 2, "xpcs/twotime/config/stride_frame": 3},
        "numbers of the bins": {"xpcs/twotime/processed_bins": NUMBERS[1:]},
        "pixels of the bins": {"xpcs/qmap/dynamic_roi_map": BINS},
        "good pixels": {"xpcs/qmap/mask": GOOD},
        "q": {
            "xpcs/qmap/dynamic_v_list_dim0": Q / 10,
            "xpcs/qmap/dynamic_v_list_dim1": [0.0],
            "xpcs/qmap/dynamic_index_mapping": np.arange(4),
        },
        "mean frame": {"xpcs/temporal_mean/scattering_2d": 0.5 * MAP[None]},
        "start": {"entry/start_time": START},
        "lags": {"xpcs/multitau/delay_list": LAGS},
        "g2": {"xpcs/multitau/normalized_g2": G2},
        "errors of g2": {"xpcs/multitau/normalized_g2_err": ERRORS},
    },
    "8-ID before": {
        "maps": {f"exchange/C2T_all/g2_{k:05d}": c2 for k, c2 in enumerate(MAPS, start=1)},
        "time of a frame": {"measurement/instrument/detector/exposure_period": FRAME_S},
        "frames in a row": {"xpcs/avg_frames": 2, "xpcs/stride_frames": 3},
        "numbers of the bins": {"xpcs/qphi_bin_to_process": NUMBERS[1:]},
        "pixels of the bins": {"xpcs/dqmap": BINS},
        "good pixels": {"xpcs/mask": GOOD},
        "q": {"xpcs/dqlist": Q / 10},
        "mean frame": {"exchange/pixelSum": 0.5 * MAP},
        "start": {"entry/start_time": START},
        "lags": {"exchange/tau": LAGS},
        "g2": {"exchange/norm-0-g2": G2},
        "errors of g2": {"exchange/norm-0-stderr": ERRORS},
    },
    "NXxpcs": {
        "maps": {"entry/twotime/two_time_corr_func": MAPS},
        "time of a frame": {"entry/instrument/detector/frame_time": FRAME_S},
        "frames in a row": {"entry/twotime/t1": 6 * FRAME_S * np.arange(T)},
        "numbers of the bins": {"entry/twotime/bin": NUMBERS[1:]},
        "pixels of the bins": {"entry/instrument/masks/dynamic_roi_map": BINS},
        "q": {"entry/instrument/masks/dynamic_q_list": Q},
        "mean frame": {"entry/data/frame_average": 0.5 * MAP},
        "start": {"entry/start_time": START},
        "lags": {"entry/data/delay_difference": LAGS},
        "g2": {"entry/data/g2": G2},
        "errors of g2": {"entry/data/g2_derr": ERRORS},
    },
    "pychx": {
        "maps": {"g12b": np.moveaxis(MAPS, 0, -1)},
        "time of a frame": {"md@frame_time": FRAME_S},
        "frames in a row": {"tausb": 6 * FRAME_S * np.arange(T)},
        "pixels of the bins": {"roi_mask": MAP},
        "q": {f"qval_dict@{k}": [q / 10] for k, q in enumerate(Q)},
        "mean frame": {"avg_img": 0.5 * MAP},
        "start": {"md@start_time": START},
        "lags": {"taus": FRAME_S * LAGS},
        "g2": {"g2": G2},
        "errors of g2": {"g2_err": ERRORS},
    },
}
OF_MAPS = "maps", "time of a frame"
OF_G2 = {fmt: ("lags", "g2") if fmt == "pychx" else ("lags", "g2", "time of a frame") for fmt in FILES}
SIZES = {"T": T, "n": 4, "m": LAGS.size, "y": MAP.shape[0], "x": MAP.shape[1], "n_q": 4, "n_phi": 1, "1": 1}


def write(path, fmt, rows):
    with h5py.File(path, "w") as file:
        for name, value in (each for row in rows for each in FILES[fmt].get(row, {}).items()):
            if "@" in name:
                of, key = name.split("@")
                file.require_dataset(of, (1,), "i").attrs[key] = value
            else:
                file[name] = value
    return path


def seen(path):
    """What a file of maps says, by the row of the table."""
    with MapFile(path) as file:
        assert np.array(list(file.maps())).shape == (4, 256, 256)
    bins, curves = file.partition, file.curves
    return {
        "frames in a row": file.row_s / FRAME_S,
        "numbers of the bins": bins.numbers,
        "pixels of the bins": bins.n_pixels * (file.no_partition == ""),
        "good pixels": bins.n_pixels,
        "q": [ring.q for ring in rings(bins)],
        "mean frame": file.counts,
        "start": file.began or 0,
        "errors of g2": 0 if curves is None else curves.g2,
    }


@pytest.mark.parametrize("fmt", FILES)
def test_each_dataset_adds_to_the_maps_what_the_table_says(fmt, tmp_path):
    without = {"frames in a row": 1, "numbers of the bins": [1, 2, 3, 4], "pixels of the bins": 0, "good pixels": 30}
    without |= {"q": [np.nan], "mean frame": np.nan, "start": 0, "errors of g2": 0}
    known = {"frames in a row": 6, "numbers of the bins": NUMBERS[1:], "pixels of the bins": 30}
    known |= {"good pixels": [30, 30, 30, 20], "q": Q, "mean frame": [0.5, 1, 1.5, 2], "start": 1772352000}
    known |= {"errors of g2": G2.T}
    rows, now = [*OF_MAPS, "lags", "g2"], seen(write(tmp_path / "smallest.h5", fmt, OF_MAPS))
    for row, value in known.items():
        np.testing.assert_allclose(now[row], np.broadcast_to(without[row], np.shape(now[row])), err_msg=row)
        if row in FILES[fmt]:
            rows.append(row)
            if fmt == "8-ID before" and row == "errors of g2":  # whose lags are known only of single frames
                rows.remove("frames in a row")
            now = seen(write(tmp_path / "more.h5", fmt, rows))
            np.testing.assert_allclose(now[row], np.broadcast_to(value, np.shape(now[row])), err_msg=row)


def test_g2_of_means_of_frames_is_not_used_where_its_lags_may_be_of_single_frames(tmp_path, caplog):
    with MapFile(write(tmp_path / "a.h5", "8-ID before", FILES["8-ID before"])) as file:
        assert file.curves is None and "its g2 is not used: xpcs/avg_frames is not 1" in caplog.text


@pytest.mark.parametrize("fmt", FILES)
def test_curves_need_no_errors_and_no_bins(fmt, tmp_path):
    curves = read_curves(write(tmp_path / "smallest.h5", fmt, OF_G2[fmt]))
    np.testing.assert_allclose(curves.g2, G2.T)
    np.testing.assert_allclose(curves.tau_s, FRAME_S * LAGS)
    assert np.isnan(curves.error).all() and curves.partition is None
    errors = curves.fit().errors
    assert set(errors) == {"errors of the scatter between neighbouring lags"}


@pytest.mark.parametrize("fmt", FILES)
def test_the_smallest_file_has_nothing_to_spare(fmt, tmp_path):
    for needed, read in ((OF_MAPS, seen), (OF_G2[fmt], read_curves)):
        read(write(tmp_path / "smallest.h5", fmt, needed))
        for row in needed:
            with pytest.raises(ValueError, match=r"less.h5"):
                read(write(tmp_path / "less.h5", fmt, [each for each in needed if each != row]))
    if fmt in ("NXxpcs", "pychx"):  # times of the rows are enough
        times = seen(write(tmp_path / "times.h5", fmt, ("maps", "frames in a row")))
        assert times["frames in a row"] == pytest.approx(6)


def test_the_table_names_these_datasets_with_their_shapes():
    text = PAGE.read_text().split("## The smallest files\n")[1].split("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    header, rows = lines[0], {line[0]: line for line in lines[2:]}
    assert header[1:-1] == list(FILES) and set(rows) == set(FILES["boost_corr"])
    for (fmt, column), (row, cells) in product(zip(FILES, range(1, 5), strict=True), rows.items()):
        values = FILES[fmt].get(row, {})
        shapes = {name.split("@")[-1]: np.shape(value) for name, value in values.items()}
        shapes |= {name.split("@")[0]: () for name in values if "@" in name}
        stated = re.findall(r"`([^`]+)`(?: \(([^)]+)\))?", cells[column])
        for name, shape in stated:
            assert shapes.pop(name) == tuple(SIZES[size] for size in shape.split(", ") if size), (fmt, row, name)
        assert len(shapes) in ({0} if stated or not values else set()) | {3}, (fmt, row, shapes)  # "…" are three more
