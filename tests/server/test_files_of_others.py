"""Files that somebody else wrote, on a server: nothing outside its folders is read, and no size is believed."""

import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace

import h5py
import httpx
import numpy as np
import pytest
import tifffile
from tiled.structures.array import ArrayStructure
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import Asset, DataSource

HDF5, TIFFS = "application/x-hdf5", "multipart/related;type=image/tiff"
SECRET = np.frombuffer(b"the operator's password ", "u1")
FRAMES = np.arange(24, dtype="u1").reshape(2, 3, 4)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folders of a detector, which the server may read, and of somebody else."""
    folder = SimpleNamespace(
        frames=tmp_path_factory.mktemp("frames"), elsewhere=Path(mkdtemp(prefix="ainerd-elsewhere-"))
    )
    with h5py.File(folder.elsewhere / "secret.h5", "w") as file:
        file["d"] = SECRET
    with h5py.File(folder.frames / "good.h5", "w") as file:
        file["entry/d"] = FRAMES
        file["entry/same"] = h5py.SoftLink("/entry/d")
    with h5py.File(folder.frames / "master.h5", "w") as file:
        file["d"] = h5py.ExternalLink("good.h5", "/entry/d")
    yield folder
    shutil.rmtree(folder.elsewhere)


def register(server, uri, like=SECRET, dataset="d", mimetype=HDF5, family=StructureFamily.array, parameter="data_uris"):
    """The node of a file, which a document names."""
    structure = ArrayStructure.from_array(like) if family == StructureFamily.array else None
    asset = Asset(data_uri=uri, is_directory=False, parameter=parameter, num=0 if parameter else None)
    source = DataSource(
        structure_family=family,
        structure=structure,
        mimetype=mimetype,
        parameters={"dataset": dataset} if mimetype == HDF5 else {},
        management="external",
        assets=[asset],
    )
    return server.client().new(family, [source])


def refused(server, node, route="array/full"):
    key = {"Authorization": f"Apikey {server.api_key}"}
    name = node.path_parts[-1]
    params = {"format": "application/octet-stream"} if route != "metadata" else {}
    answer = httpx.get(f"{server.uri}/{route}/{name}", headers=key, params=params, timeout=60)
    assert SECRET.tobytes() not in answer.content
    return answer.status_code


@pytest.mark.fault("A registered file of frames leads elsewhere", "The server refuses it, and serves the others")
def test_a_server_reads_nothing_outside_its_folders(server, place):
    path = place.frames / "link.h5"
    path.symlink_to(place.elsewhere / "secret.h5")
    assert refused(server, register(server, path.as_uri())) == 410
    below = register(server, path.as_uri(), dataset="/", family=StructureFamily.container)
    assert refused(server, below, "container/full") in (406, 410)
    assert refused(server, SimplePath(below, "d")) in (404, 410)
    good = register(server, (place.frames / "good.h5").as_uri(), FRAMES, "entry/d")
    np.testing.assert_array_equal(good.read(), FRAMES)


class SimplePath:
    """A node below another one."""

    def __init__(self, node, name):
        self.path_parts = [f"{node.path_parts[-1]}/{name}"]


@pytest.mark.parametrize(
    ("uri", "parameter"),
    [
        ("file://localhost{frames}/../elsewhere/secret.h5", "data_uris"),
        ("file://localhost{elsewhere}/secret.h5", None),
        ("sqlite:///{elsewhere}/secret.h5", "data_uris"),
        ("FILE://localhost{elsewhere}/secret.h5", "data_uris"),
    ],
)
def test_the_address_of_a_file_cannot_go_round_the_check(server, place, uri, parameter):
    uri = uri.format(frames=place.frames, elsewhere=place.elsewhere)
    assert refused(server, register(server, uri, parameter=parameter)) == 410


def test_files_of_other_kinds_are_checked_too(server, place):
    (place.frames / "names.csv").symlink_to("/proc/self/environ")
    os.mkfifo(place.frames / "pipe.tif")
    tifffile.imwrite(place.frames / "a.tif", FRAMES[0])
    for uri, mimetype in (
        ("names.csv", "text/csv;header=absent"),
        ("pipe.tif", TIFFS),
        ("good.h5", "application/x-netcdf"),
        ("a.tif", "image/tiff"),
        ("a.tif", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ):
        node = register(server, (place.frames / uri).as_uri(), mimetype=mimetype)
        assert refused(server, node) == 410
    node = register(server, (place.frames / "a.tif").as_uri(), FRAMES[:1], mimetype=TIFFS)
    np.testing.assert_array_equal(node.read(), FRAMES[:1])


def test_links_within_the_folders_are_followed(server, place):
    good, master = ((place.frames / name).as_uri() for name in ("good.h5", "master.h5"))
    np.testing.assert_array_equal(register(server, master, FRAMES).read(), FRAMES)
    node = register(server, good, dataset="/", family=StructureFamily.container)
    assert sorted(node["entry"]) == ["d", "same"]
    np.testing.assert_array_equal(node["entry/same"].read(), FRAMES)


def test_no_file_is_sent_as_it_is(server, place):
    key = {"Authorization": f"Apikey {server.api_key}"}
    node = server.client().write_array(np.arange(3), key="own")
    (asset,) = node.data_sources()[0].assets
    for route in ("bytes", "manifest"):
        params = (
            {"id": asset.id, "relative_path": "../../../../../../../../../../etc/hostname"}
            if route == "bytes"
            else {"id": asset.id}
        )
        answer = httpx.get(f"{server.uri}/asset/{route}/own", headers=key, params=params)
        assert answer.status_code == 403


@pytest.mark.fault("A file of kilobytes unpacks to gigabytes", "It is refused before it is read")
def test_a_small_file_that_unpacks_to_gigabytes_is_refused(server, place):
    path, shape = place.frames / "bomb.h5", (1, 25_000, 25_000)
    with h5py.File(path, "w") as file:
        file.create_dataset("d", shape, "f8", chunks=(1, 2500, 2500), compression="gzip")
        file.create_dataset("chunk", (1,), "f8", chunks=(2**28,), maxshape=(None,), compression="gzip")
    assert refused(server, register(server, path.as_uri(), np.broadcast_to(0.0, shape))) == 400
    assert refused(server, register(server, path.as_uri(), np.zeros(1), "chunk")) == 410
