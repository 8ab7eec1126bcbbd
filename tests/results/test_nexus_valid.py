"""Exported results against the definition NXxpcs, by the validator of pynxtools."""

import h5py
import numpy as np
import pytest

from ainerd.results import export
from ainerd_files import read_curves


@pytest.fixture(scope="module")
def file(night, tmp_path_factory):
    _, store, keys = night
    return export(store, keys[2], tmp_path_factory.mktemp("valid") / "scan_2.nxs")


def test_an_export_is_valid(file, complaints):
    ours, its_own = complaints(file)
    assert ours == [] and len(its_own) == 3  # of two fields of the maps


def test_pynxtools_says_so_if_something_is_wrong(file, complaints, tmp_path):
    broken = tmp_path / "broken.nxs"
    broken.write_bytes(file.read_bytes())
    with h5py.File(broken, "r+") as opened:
        del opened["entry/instrument/detector/frame_time"]
        opened["entry/data/g2"].attrs["storage_mode"] = "one_array_q_first"
    ours = " ".join(complaints(broken)[0])
    assert "detector/frame_time" in ours and "one_array_q_first" in ours


def test_without_the_configuration_it_is_not_valid(night, complaints, tmp_path):
    _, store, keys = night
    ours, _ = complaints(export(store, keys[8], tmp_path / "scan_0.nxs"))
    missing = {text.split("/")[-1].split()[0] for text in ours}
    assert missing == {"incident_energy", "beam_center_x", "beam_center_y"}


def test_without_maps_it_is_valid_to_the_last_word(file, complaints, tmp_path):
    rest = tmp_path / "rest.nxs"
    rest.write_bytes(file.read_bytes())
    with h5py.File(rest, "r+") as opened:
        del opened["entry/twotime"]
    assert complaints(rest, verdict=True) == ([], [])


def test_our_reader_reads_the_same_curves(file, night, partition):
    _, store, keys = night
    curves = read_curves(file)
    np.testing.assert_array_equal(curves.g2, store.array(keys[2], "g2"))
    np.testing.assert_allclose(curves.tau_s, store.array(keys[2], "tau"))
    np.testing.assert_array_equal(curves.partition.roi_map, partition.roi_map)
    np.testing.assert_allclose(curves.phi, partition.phi)
    np.testing.assert_allclose(curves.q, partition.q)
