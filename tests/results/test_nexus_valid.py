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
