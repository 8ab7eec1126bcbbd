"""Items of HDF5 files that other programs wrote: links, and items that are larger than the file."""

import h5py
import pytest

from ainerd.documents import FrameError
from ainerd_folder import Metadata


@pytest.fixture
def acquisition(tmp_path):
    """A file of metadata."""
    with h5py.File(tmp_path / "acquisition.h5", "w") as file:
        file["group/length"] = 2.5
        file["group/length"].attrs["units"] = "mm"
        file["group/name"] = ["gel", "oil"]
    return tmp_path / "acquisition.h5"


def test_a_value_of_metadata_is_the_first_text_or_the_mean(acquisition):
    metadata = Metadata(acquisition, ["group/length", "group/name", "nothing"], [acquisition.parent.resolve()])
    assert metadata.number("group/length", "m") == 0.0025 and metadata.value("group/name") == "gel"
    assert metadata.value("nothing") is None


def test_a_link_to_a_dataset_that_is_not_there_has_no_value(tmp_path):
    with h5py.File(tmp_path / "export.nxs", "w") as file:
        file["entry/instrument/detector"] = h5py.SoftLink("/entry/detector")
        file["entry/detector/distance"] = 5.0
        file["entry/gone"] = h5py.ExternalLink("export.nxs", "/entry/nothing")
    names = ["entry/instrument/detector/distance", "entry/instrument/detector/qmap_file", "entry/gone"]
    metadata = Metadata(tmp_path / "export.nxs", names, [tmp_path.resolve()])
    assert [metadata.value(name) for name in names] == [5.0, None, None]


@pytest.mark.fault("Kilobytes of metadata unpack to gigabytes", "They are refused, with the name of the file")
@pytest.mark.parametrize("name", ["numbers", "chunk"])
def test_metadata_that_unpack_to_gigabytes_are_refused(tmp_path, name):
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("numbers", (10**10,), "f8", chunks=(2**16,), compression="gzip")
        file.create_dataset("chunk", (2,), "f8", chunks=(2**28,), maxshape=(None,), compression="gzip")
    with pytest.raises(FrameError, match=rf"bomb\.h5, '{name}': .* unpacks to"):
        Metadata(tmp_path / "bomb.h5", [name], [tmp_path.resolve()])
