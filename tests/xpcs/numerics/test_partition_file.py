import h5py
import numpy as np
import pytest

from ainerd_xpcs.numerics import Partition
from tests.xpcs.numerics.conftest import RING


def test_a_saved_partition_is_loaded_unchanged(tmp_path, partition):
    for saved in (Partition.annular(**RING, n_q=2), partition):
        saved.save(tmp_path / "bins.h5")
        read = Partition.load(tmp_path / "bins.h5")
        for name in ("roi_map", "static_map", "pixels", "q", "phi", "static_q"):
            np.testing.assert_array_equal(getattr(read, name), getattr(saved, name))


def test_a_file_holds_the_masks_of_nxxpcs(tmp_path):
    Partition.annular(**RING).save(tmp_path / "bins.h5")
    with h5py.File(tmp_path / "bins.h5") as file:
        masks = file["entry/instrument/masks"]
        assert masks.attrs["NX_class"] == "NXnote"
        assert {*masks} == {f"{x}_q_list" for x in KINDS} | {f"{x}_roi_map" for x in KINDS} | {"dynamic_phi_list"}
        assert masks["dynamic_q_list"].attrs["units"] == "1/nm"


KINDS = ("dynamic", "static")


def aps_maps():
    """Return a q map like those of pySimpleMask: 3 q by 4 phi, with nested static bins."""
    y, x = np.mgrid[:40, :60].astype(float)
    radius, phi = np.hypot(y - 19.5, x - 29.5), -np.rad2deg(np.arctan2(y - 19.5, x - 29.5))
    mask = (radius > 4) & (radius < 19)
    fine = np.digitize(radius, np.linspace(4, 19, 7)) - 1  # 6 static rings
    sector = np.clip(((phi + 180) // 90).astype(int), 0, 3)
    dynamic = np.where(mask, fine // 2 * 4 + sector + 1, 0)
    static = np.where(mask, fine * 4 + sector + 1, 0)
    q = 0.001 * (np.arange(3) + 1)
    return dynamic, static, mask, q, np.array([-135.0, -45.0, 45.0, 135.0])


def write_aps(path, group, dynamic, static, mask, q, phi):
    with h5py.File(path, "w") as file:
        file[f"{group}/dynamic_roi_map"], file[f"{group}/static_roi_map"] = dynamic.astype("u4"), static.astype("u4")
        file[f"{group}/mask"] = mask
        file[f"{group}/map_names"] = [b"q", b"phi"]
        for kind, dim0, n in (("dynamic", q, 12), ("static", np.linspace(0.0005, 0.0035, 6), 24)):
            file[f"{group}/{kind}_v_list_dim0"], file[f"{group}/{kind}_v_list_dim1"] = dim0, phi
            file[f"{group}/{kind}_num_pts"] = [len(dim0), 4]
            file[f"{group}/{kind}_index_mapping"] = np.arange(n)


@pytest.mark.parametrize("index", [-1, 12.5, 24])
def test_an_index_that_is_no_point_of_the_map_is_refused(tmp_path, index):
    write_aps(tmp_path / "qmap.hdf", "qmap", *aps_maps())
    with h5py.File(tmp_path / "qmap.hdf", "r+") as file:
        del file["qmap/dynamic_index_mapping"]
        file["qmap/dynamic_index_mapping"] = np.append(np.arange(11.0), index)
    with pytest.raises(ValueError, match=rf"/qmap/dynamic_index_mapping has {index:g}, expected whole numbers from 0"):
        Partition.load(tmp_path / "qmap.hdf")


def test_the_axes_of_a_q_map_come_in_any_order(tmp_path):
    dynamic, static, mask, q, phi = aps_maps()
    write_aps(tmp_path / "qmap.hdf", "qmap", dynamic, static, mask, q, phi)
    before = Partition.load(tmp_path / "qmap.hdf")
    with h5py.File(tmp_path / "qmap.hdf", "r+") as file:
        group = file["qmap"]
        del group["map_names"]
        group["map_names"], group["map_units"] = [b"phi", b"q"], [b"deg", b"1/nm"]
        for kind, n_q in (("dynamic", 3), ("static", 6)):
            group.move(f"{kind}_v_list_dim1", f"{kind}_phi")
            group.move(f"{kind}_v_list_dim0", f"{kind}_v_list_dim1")
            group.move(f"{kind}_phi", f"{kind}_v_list_dim0")
            group[f"{kind}_v_list_dim1"][()] *= 10
            group[f"{kind}_index_mapping"][()] = np.arange(4 * n_q).reshape(4, n_q).T.ravel()
    after = Partition.load(tmp_path / "qmap.hdf")
    for name in ("q", "phi", "static_q"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name))


@pytest.mark.parametrize("group", ["qmap", "xpcs/qmap"])
def test_a_q_map_of_aps_is_read(tmp_path, group):
    dynamic, static, mask, q, phi = aps_maps()
    write_aps(tmp_path / "qmap.hdf", group, dynamic, static, mask, q, phi)
    read = Partition.load(tmp_path / "qmap.hdf")
    assert np.array_equal(read.roi_map, dynamic)
    assert np.array_equal(read.static_map, static)
    assert np.allclose(read.q, np.repeat(10 * q, 4))
    assert len(read.static_q) == 24 and read.static_q[0] == pytest.approx(0.005)
    # the azimuth that the file gives for a bin is, in our sense, that of its pixels
    for k in range(1, 13):
        row, col = (x.mean() for x in np.nonzero(read.roi_map == k))
        assert np.cos(np.deg2rad(read.phi[k - 1]) - np.arctan2(row - 19.5, col - 29.5)) > 0.99


def test_an_older_q_map_is_read_without_masked_bins(tmp_path):
    dynamic, static, mask, q, _ = aps_maps()
    mask = mask & (dynamic != 2)
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["data/dynamicMap"], file["data/staticMap"], file["data/mask"] = dynamic, static, mask[None].astype("u1")
        file["data/dqval"], file["data/dphival"] = np.repeat(q, 4)[None], np.zeros((1, 12))
    read = Partition.load(tmp_path / "old.h5")
    assert read.n_roi == 11
    assert np.array_equal(read.roi_map == 2, dynamic == 3)
    assert np.allclose(read.q, np.delete(np.repeat(10 * q, 4), 1))
    assert np.isnan(read.phi).all()


def test_invalid_files_are_named(tmp_path):
    path, (dynamic, static, mask, q, phi) = tmp_path / "bins.h5", aps_maps()
    path.write_text("no HDF5")
    with pytest.raises(ValueError, match=r"bins.h5 cannot be read as HDF5"):
        Partition.load(path)
    with h5py.File(path, "w") as file:
        file["something"] = 1
    with pytest.raises(ValueError, match=r"bins.h5 holds no partition: expected dynamic_roi_map or dynamicMap"):
        Partition.load(path)
    for change, message in (
        ((dynamic, np.zeros_like(static), mask, q), "static_map must"),
        ((dynamic, static, mask[1:], q), r"/qmap/mask has shape \(39, 60\)"),
        ((dynamic, static, mask, q[:2]), "/qmap/dynamic_"),
    ):
        write_aps(path, "qmap", *change, phi)
        with pytest.raises(ValueError, match=f"bins.h5: .*{message}"):
            Partition.load(path)
    with h5py.File(path, "w") as file:
        file["entry/instrument/masks/dynamic_roi_map"] = dynamic
        file["entry/instrument/masks/dynamic_q_list"] = np.ones(3)
    with pytest.raises(ValueError, match=r"q must hold one value for each of the 12"):
        Partition.load(path)


def geometric_map(path, scale=1.0):
    """Write a q map of five rings with its geometry, whose list has q times `scale`; return labels and q in 1/nm."""
    y, x = np.indices((200, 240))
    radius = np.hypot(y - 100.0, x - 120.0)
    q = 4 * np.pi * 11.0 / 1.239842 * np.sin(np.arctan(radius * 55e-6 / 6.0) / 2)
    labels = np.digitize(radius, [15, 30, 45, 60, 80, 100]) % 6
    centers = np.array([q[labels == k].mean() for k in range(1, 6)])
    with h5py.File(path, "w") as file:
        group = file.create_group("qmap")
        group["mask"] = labels > 0
        group["dynamic_roi_map"] = group["static_roi_map"] = labels
        for kind in ("dynamic", "static"):
            group[f"{kind}_v_list_dim0"], group[f"{kind}_v_list_dim1"] = 0.1 * centers * scale, [0.0]
            group[f"{kind}_index_mapping"] = np.arange(5)
        numbers = {"energy": 11.0, "detector_distance": 6000.0, "pixel_size": 55e-6}
        for name, value in (numbers | {"beam_center_x": 120.0, "beam_center_y": 100.0}).items():
            group[name] = value
        group["detector_distance"].attrs["units"] = "mm"
    return labels, centers


def test_a_list_agrees_with_the_geometry_of_its_map(tmp_path):
    labels, q = geometric_map(tmp_path / "q.hdf")
    read = Partition.load(tmp_path / "q.hdf")
    assert np.array_equal(read.roi_map, labels)
    np.testing.assert_allclose(read.q, q)
    geometric_map(tmp_path / "q.hdf", scale=np.array([1, 1, 1.5, 1, 1]))
    with pytest.raises(ValueError, match="dynamic_v_list_dim0 contradicts the geometry of the map in 1 of 5 bins"):
        Partition.load(tmp_path / "q.hdf")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mask", lambda mask: mask.write_direct(~mask[()]), "mask is 0, which means bad, in 100% of the pixels in"),
        ("detector_distance", lambda x: x.attrs.__setitem__("units", "s"), "distance: 's' cannot be converted to 'm'"),
    ],
)
def test_a_map_that_contradicts_itself_is_refused(tmp_path, name, change, message):
    geometric_map(tmp_path / "q.hdf")
    with h5py.File(tmp_path / "q.hdf", "r+") as file:
        change(file[f"qmap/{name}"])
    with pytest.raises(ValueError, match=message):
        Partition.load(tmp_path / "q.hdf")


@pytest.mark.parametrize(("unit", "factor"), [("nm^-1", 1), ("1/Å", 10), ("m-1", 1e-9)])
def test_a_list_of_q_is_in_the_unit_of_its_attribute(tmp_path, unit, factor):
    with h5py.File(tmp_path / "bins.h5", "w") as file:
        file["entry/instrument/masks/dynamic_roi_map"] = np.repeat([1, 2], 8).reshape(4, 4)
        file["entry/instrument/masks/dynamic_q_list"] = [0.1, 0.2]
        file["entry/instrument/masks/dynamic_q_list"].attrs["units"] = unit
        file["entry/instrument/masks/dynamic_phi_list"] = [0.0, np.pi / 2]
        file["entry/instrument/masks/dynamic_phi_list"].attrs["units"] = "rad"
    read = Partition.load(tmp_path / "bins.h5")
    np.testing.assert_allclose(read.q, [0.1 * factor, 0.2 * factor])
    np.testing.assert_allclose(read.phi, [0, 90])


@pytest.mark.parametrize("listed", ["every number", "those that occur"])
@pytest.mark.parametrize("layout", ["qmap", "data", "masks"])
def test_numbers_with_holes_keep_their_q(tmp_path, layout, listed):
    numbers = np.array([0, 2, 5, 6, 9])  # in the map
    roi_map = np.repeat(numbers, 20).reshape(10, 10)
    q = 0.01 * numbers[1:]  # in 1/nm, so that a bin can be told by it
    every = 0.01 * np.arange(1, 10)
    values = every if listed == "every number" else q
    with h5py.File(tmp_path / "qmap.hdf", "w") as file:
        if layout == "masks":
            group = file.create_group("entry/instrument/masks")
            group["dynamic_roi_map"] = group["static_roi_map"] = roi_map
            group["dynamic_q_list"] = group["static_q_list"] = values
        elif layout == "data":
            file["data/dynamicMap"], file["data/mask"], file["data/dqval"] = roi_map, np.ones((10, 10)), values / 10
        else:
            group = file.create_group("qmap")
            group["mask"] = np.ones((10, 10))
            for kind in ("dynamic", "static"):
                group[f"{kind}_roi_map"] = roi_map
                group[f"{kind}_v_list_dim0"], group[f"{kind}_v_list_dim1"] = every / 10, [0.0]
                group[f"{kind}_index_mapping"] = np.rint(100 * values).astype(int) - 1
    read = Partition.load(tmp_path / "qmap.hdf")
    assert [np.unique(roi_map[read.roi_map == k]).tolist() for k in range(1, 5)] == [[2], [5], [6], [9]]
    np.testing.assert_allclose(read.q, q)
    read.only([2, 4]).save(tmp_path / "some.h5")
    some = Partition.load(tmp_path / "some.h5")
    assert (read.numbers.tolist(), some.numbers.tolist()) == ([2, 5, 6, 9], [5, 9])
    np.testing.assert_array_equal(some.labels, np.where(np.isin(roi_map, [5, 9]), roi_map, 0))
    np.testing.assert_allclose(some.q, [0.05, 0.09])
    if layout != "data":
        labels = read.static_map.ravel()[read.pixels[read.static_edges[:-1]]]
        np.testing.assert_allclose(read.static_q[labels - 1], q)
