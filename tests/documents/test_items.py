"""Items of HDF5 files that others wrote: links that lead elsewhere, and items that are larger than the file."""

import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from ainerd.documents import FrameError, FrameReader, Metadata, list_items, open_item
from ainerd.documents._storage import local_path

MANY = 10**10


@pytest.fixture
def bomb(tmp_path):
    """A file of kilobytes."""
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("numbers", (MANY,), "f8", chunks=(2**16,), compression="gzip")
        file.create_dataset("chunk", (2,), "f8", chunks=(2**26,), maxshape=(None,), compression="gzip")
        texts = file.create_dataset("texts", (8000,), h5py.string_dtype(), chunks=(8000,), compression="gzip")
        texts[0] = "x" * 100_000
        file["one"] = 3.0
        file["one"].attrs["units"] = np.array(["x" * 1000] * 50, h5py.string_dtype())
        file["group/length"] = 2.5
        file["group/length"].attrs["units"] = "mm"
        file["group/name"] = ["gel", "oil"]
    return tmp_path / "bomb.h5"


@pytest.mark.fault("Kilobytes of metadata unpack to gigabytes", "They are refused, with the name of the file")
@pytest.mark.parametrize("name", ["numbers", "chunk", "one"])
def test_metadata_that_unpack_to_gigabytes_are_refused(bomb, name):
    tracemalloc.start()
    with pytest.raises(FrameError, match=rf"bomb\.h5, '/{name}': .* (more than 17|too much memory)"):
        Metadata(bomb, [name], [bomb.parent.resolve()])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6


def test_a_value_of_metadata_is_the_first_text_or_the_mean(bomb):
    metadata = Metadata(bomb, ["group/length", "group/name", "texts", "nothing"], [bomb.parent.resolve()])
    assert metadata.number("group/length", "m") == 0.0025 and metadata.value("group/name") == "gel"
    assert metadata.value("texts") == "x" * 100_000 and metadata.value("nothing") is None


def test_a_link_to_a_dataset_that_is_not_there_has_no_value(tmp_path):
    with h5py.File(tmp_path / "export.nxs", "w") as file:
        file["entry/instrument/detector"] = h5py.SoftLink("/entry/detector")
        file["entry/detector/distance"] = 5.0
        file["entry/gone"] = h5py.ExternalLink("export.nxs", "/entry/nothing")
    names = ["entry/instrument/detector/distance", "entry/instrument/detector/qmap_file", "entry/gone"]
    metadata = Metadata(tmp_path / "export.nxs", names, [tmp_path.resolve()])
    assert [metadata.value(name) for name in names] == [5.0, None, None]


def test_texts_are_read_one_by_one_up_to_a_size(bomb):
    with open_item(bomb, "group/name", [bomb.parent.resolve()]) as names:
        assert names[()].tolist() == [b"gel", b"oil"] and names[1] == b"oil" and names[:1].tolist() == [b"gel"]
    with open_item(bomb, "texts", [bomb.parent.resolve()], most=10**6) as texts:
        with pytest.raises(FrameError, match="unpacks to 800 MB, more than 1"):
            texts[()]


def test_links_that_multiply_end_a_list(tmp_path):
    with h5py.File(tmp_path / "laughs.h5", "w") as file:
        group = file
        for _ in range(40):
            group["a"] = group["b"] = group.create_group("c")
            group = group["a"]
        file["loop"] = h5py.SoftLink("/")
    with open_item(tmp_path / "laughs.h5", "/", [tmp_path.resolve()]) as file:
        with pytest.raises(FrameError, match="has more than 10000 items"):
            list_items(file, [tmp_path.resolve()])


@pytest.mark.parametrize("path", ["/proc/self/environ", "/sys/kernel/notes"])
def test_files_of_the_system_are_never_read_whatever_the_roots(tmp_path, path):
    file, link = tmp_path / "frames.h5", tmp_path / "link.h5"
    with h5py.File(file, "w") as opened:
        opened.create_dataset("d", (2, 3, 4), "u1", external=[(path, 0, 24)])
    with pytest.raises(FrameError, match="its values are raw data outside the file"):
        FrameReader(file, "d", np.array([0]), (3, 4), roots=[Path("/")])
    link.symlink_to(path)
    with pytest.raises(FrameError, match="lies outside the allowed roots"):
        local_path(link.as_uri(), [Path("/")])
