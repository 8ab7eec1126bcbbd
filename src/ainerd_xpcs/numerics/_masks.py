"""Files with partitions, in HDF5: the masks of NXxpcs, a group ``masks`` (NXnote) of the instrument, and q maps of APS.

The latter are written by pySimpleMask, read by boost_corr, and copied into result files. The older ones name the maps
``dynamicMap`` and ``staticMap``, results of that time ``dqmap`` and ``sqmap``.

The geometry that a q map states tells whether its lists of q agree with it. A list belongs to its labels by a mapping,
which other programs may have lost: pySimpleMask's ``combine_qmap_files`` numbers the bins of two maps anew, and the
lists of one no longer multiply with those of the other. Such a map is refused.
"""

from collections.abc import Mapping
from os import PathLike
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.units import UnitError, converted, stated
from ainerd_xpcs.numerics._geometry import q_at

Path = str | PathLike[str]
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

NEXUS = "entry/instrument/masks"
APS = ("qmap", "xpcs/qmap", "data", "xpcs")
PHI = ("dynamic_phi_list", "bins/phi")  # the definition of the former wants 1/length
DYNAMIC, STATIC = ("dynamic_roi_map", "dynamicMap", "dqmap"), ("static_roi_map", "staticMap", "sqmap")
NUMBERS = {  # of the geometry of a q map of APS, with the units in which they are used
    "energy": "keV", "detector_distance": "m", "pixel_size": "m", "beam_center_x": "pixel", "beam_center_y": "pixel",
}  # fmt: skip
AXES = {"q": "1/angstrom", "phi": "deg"}  # of a q map of APS, with the units that lists without one have
MOST_MASKED = 0.5  # share of the pixels in bins that the mask of a map may take away
WRONG = 0.05  # relative error of q in a list


def read_masks(path: Path) -> tuple[dict[str, Any], str]:
    """Read the arguments of `Partition.from_roi_map`, and the file and group that they come from."""
    try:
        file = h5py.File(path, "r")
    except OSError as err:
        raise ValueError(f"{path} cannot be read as HDF5: {err}") from None
    with file:
        for where in (NEXUS, *APS):
            group = file.get(where)
            if isinstance(group, h5py.Group) and any(name in group for name in DYNAMIC):
                masks = _nexus(group, path) if where == NEXUS else _aps(group, path)
                return masks, f"{path}: {group.name}"
    raise ValueError(
        f"{path} holds no partition: expected {' or '.join(DYNAMIC)} in {NEXUS} (NXxpcs), or in {', '.join(APS)} (APS)"
    )


def write_masks(path: Path, maps: Mapping[str, NDArray[Any]], lists: Mapping[str, Floats | None]) -> None:
    """Write maps and lists, of those that are known, as the masks of NXxpcs to a new file."""
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        for name, kind in (("entry", "NXentry"), ("entry/instrument", "NXinstrument"), (NEXUS, "NXnote")):
            file.create_group(name).attrs["NX_class"] = kind
        masks = file[NEXUS]
        for name, labels in maps.items():
            masks.create_dataset(name, data=labels, compression="gzip", shuffle=True)
        for name, centers in lists.items():
            if centers is not None:
                masks[name] = centers
                masks[name].attrs["units"] = "degree" if "phi" in name else "1/nm"


def _nexus(group: h5py.Group, path: Path) -> dict[str, Any]:
    q, static_q = (_list(group, name, "1/nm") for name in ("dynamic_q_list", "static_q_list"))
    of_phi = next((name for name in PHI if name in group), PHI[0])
    phi = _list(group, of_phi, "deg")
    maps = {"roi_map": _labels(group, DYNAMIC, path), "static_map": _labels(group, STATIC, path)}
    return {**maps, "q": q, "phi": phi, "static_q": static_q}


def by_label(values: ArrayLike, labels: NDArray[Any], n: int, name: str) -> Floats:
    """Return values of labels 1 to n, from as many, or from those of the labels that occur, in order; NaN elsewhere.

    Raises ValueError, with the name, for another number of values.
    """
    given, present = np.asarray(values, dtype=float), np.unique(labels[labels > 0])
    if given.shape == (n,):
        return given
    if given.shape != present.shape:
        occur = f", or of the {present.size} that occur" if present.size < n else ""
        raise ValueError(f"{name} must hold one value for each of the {n} bins{occur}, got shape {given.shape}")
    out = np.full(n, np.nan)
    out[present - 1] = given
    return out


def _aps(group: h5py.Group, path: Path) -> dict[str, Any]:
    roi_map = every = _labels(group, DYNAMIC, path)
    for name in ("mask", "blemish"):
        if name not in group:
            continue
        good = np.squeeze(group[name][()])
        if good.shape != roi_map.shape:
            raise ValueError(f"{path}: {group.name}/{name} has shape {good.shape}, the dynamic map {roi_map.shape}")
        masked = float((good[roi_map > 0] <= 0).mean()) if roi_map.any() else 0.0
        if masked > MOST_MASKED:
            raise ValueError(
                f"{path}: {group.name}/{name} is 0, which means bad, in {masked:.0%} of the pixels in bins: is it "
                "inverted?"
            )
        roi_map = np.where(good > 0, roi_map, 0)
    of_pixels = _q_of_geometry(group, roi_map.shape)
    q, phi = _aps_centers(group, path, "dynamic", every)
    static_map, static_q = _labels(group, STATIC, path), None
    if static_map is not None:
        static_q = _aps_centers(group, path, "static", static_map)[0]
    for labels, centers, kind in ((roi_map, q, "dynamic"), (static_map, static_q, "static")):
        if of_pixels is not None and centers is not None:
            _check_q(of_pixels, labels, centers, f"{path}: {group.name}/{kind}_v_list_dim{_axes(group).index('q')}")
    return {"roi_map": roi_map, "static_map": static_map, "q": q, "phi": phi, "static_q": static_q}


def _q_of_geometry(group: h5py.Group, shape: tuple[int, int]) -> Floats | None:
    """Return q of each pixel in 1/nm by the geometry that a q map of APS states, or None if it has none."""
    values = [_list(group, name, unit) for name, unit in NUMBERS.items()]
    if any(x is None or x.size not in (1, 2) or not np.isfinite(x).all() for x in values):
        return None
    energy, distance, pixel, column, row = values
    if not all(x.min() > 0 for x in (energy, distance, pixel)):
        return None
    rows, columns = (np.arange(shape[0]) - row[0]) * pixel[0], (np.arange(shape[1]) - column[0]) * pixel[-1]
    return q_at(np.hypot(rows[:, None], columns), float(distance[0]), float(energy[0]))


def _aps_centers(group: h5py.Group, path: Path, kind: str, labels: Labels) -> tuple[Floats | None, Floats | None]:
    """Return q in 1/nm and phi in our sense of labels 1, 2, … of a map; None for a list that the file does not have.

    A list holds a value for each label up to the largest, or for each that occurs.
    """
    n, present = int(labels.max()), np.unique(labels[labels > 0])
    if f"{kind}_index_mapping" not in group:  # the older files; their phi is in radians or in degrees
        q = _list(group, f"{kind[0]}qlist" if f"{kind[0]}qlist" in group else f"{kind[0]}qval", "1/angstrom")
        if q is None or n == 0 or (q.size < n and q.size != present.size):
            return None, None
        return 10 * (q[:n] if q.size >= n else by_label(q, labels, n, "q")), None
    mapping, *lists = (_list(group, f"{kind}_{name}") for name in ("index_mapping", "v_list_dim0", "v_list_dim1"))
    if mapping is not None and mapping.size == present.size < n:
        mapping = np.nan_to_num(by_label(mapping, labels, n, "index_mapping"))  # other labels may have any point
    if mapping is None or any(each is None for each in lists) or mapping.size < n:
        raise ValueError(f"{path}: {group.name}/{kind}_index_mapping, _v_list_dim0 and _v_list_dim1 do not fit its map")
    used, n_points = mapping[:n], lists[0].size * lists[1].size
    if (odd := used[~np.isin(used, np.arange(n_points))]).size:
        raise ValueError(
            f"{path}: {group.name}/{kind}_index_mapping has {odd[0]:g}, expected whole numbers from 0 to "
            f"{n_points - 1}, which are points of {kind}_v_list_dim0 by _dim1"
        )
    points = np.divmod(used.astype(int), lists[1].size)
    units = [stated(x) for x in np.ravel(group["map_units"][()])] if "map_units" in group else []
    of_axes = dict[str, Floats]()
    for i, name in enumerate(_axes(group)):
        if name in AXES and lists[i].size > (name == "phi"):
            own, what = units[i] if i < len(units) else "", f"{path}: {group.name}/{kind}_v_list_dim{i}"
            of_axes[name] = _in_unit(lists[i], own, AXES[name], what)[points[i]]
    q, phi = of_axes.get("q"), of_axes.get("phi")
    # phi grows counterclockwise on a screen in the file, with the row index here
    return None if q is None else 10 * q, None if phi is None else -phi % 360


def _axes(group: h5py.Group) -> list[str]:
    """Return the names of the two axes of a q map."""
    return [stated(x) for x in np.ravel(group["map_names"][()])[:2]] if "map_names" in group else ["q", "phi"]


def _labels(group: h5py.Group, names: tuple[str, ...], path: Path) -> Any:
    """Return the labels under the first of these names that exists, or None."""
    name = next((name for name in names if name in group), None)
    if name is None:
        return None
    labels = np.squeeze(group[name][()])
    if labels.ndim != 2 or labels.dtype.kind not in "uif" or not np.all(labels % 1 == 0):
        raise ValueError(f"{path}: {group.name}/{name} must be a 2-d array of whole numbers, got {labels.shape}")
    return labels.astype(np.int64)


def _list(group: h5py.Group, name: str, unit: str = "") -> Any:
    """Return the numbers of a dataset in a unit, or as they are; None without it."""
    if name not in group:
        return None
    values, what = np.ravel(group[name][()]), f"{group.file.filename}: {group.name}/{name}"
    return _in_unit(values, group[name].attrs.get("units"), unit, what) if unit else values


def _in_unit(values: NDArray[Any], unit: object, wanted: str, what: str) -> NDArray[Any]:
    try:
        return np.asarray(converted(values.astype(float), unit, wanted))
    except UnitError as error:
        raise ValueError(f"{what}: {error}") from None


def _check_q(of_pixels: Floats, labels: Labels, q: Floats, what: str) -> None:
    """Raise ValueError, with the name of the list, if `q` (n,) of labels 1 to n is not that of their pixels."""
    low, high = np.full(len(q) + 1, np.inf), np.full(len(q) + 1, -np.inf)
    np.minimum.at(low, labels, of_pixels)
    np.maximum.at(high, labels, of_pixels)
    low, high = low[1:], high[1:]
    step = float(np.abs(np.diff(of_pixels, axis=0)).max())  # one pixel: programs differ by half of one
    margin, seen = WRONG * np.abs(q) + step, np.isfinite(low)
    wrong = np.flatnonzero(seen & ((q < low - margin) | (q > high + margin)))
    if wrong.size:
        k = wrong[0]
        raise ValueError(
            f"{what} contradicts the geometry of the map in {wrong.size} of {seen.sum()} bins: it has {q[k]:.3g} 1/nm "
            f"for bin {k + 1}, whose pixels see {low[k]:.3g} to {high[k]:.3g} 1/nm; correct the list, or the energy, "
            "distance, pixel size or beam centre of the map"
        )
