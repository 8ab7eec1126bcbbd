"""Numbers, with their units, and texts in a file of metadata, such as ``NAME_metadata.hdf`` of APS 8-ID."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from ainerd.documents import FrameError, allowed_file, open_item, whole_number
from ainerd.units import UnitError, converted, stated

logger = logging.getLogger(__name__)

Value = int | float | str
MOST_BYTES = 2**24  # of a value: a mean of more is none that a file of metadata holds


class Metadata:
    """Values of datasets in an HDF5 file, read at once. Links are followed.

    Parameters
    ----------
    path : Path
    names : iterable of str
        Datasets. Empty names, and those of datasets that are missing or empty, have no value.
    roots : sequence of Path
        Folders from which files may be read, with links resolved.

    Raises
    ------
    MissingFrames
        If the file does not exist, or is being written.
    FrameError
        If the file is damaged, is no HDF5 file, or lies outside the roots.

    Examples
    --------
    >>> import h5py
    >>> with h5py.File(folder / "acquisition.h5", "w") as file:
    ...     file["entry/period"] = 2.0
    ...     file["entry/period"].attrs["units"] = "ms"
    ...     file["entry/sample"] = "PEG 3"
    >>> found = Metadata(folder / "acquisition.h5", ["entry/period", "entry/sample"], [folder.resolve()])
    >>> found.number("entry/period", "s"), found.value("entry/sample")
    (0.002, 'PEG 3')
    """

    def __init__(self, path: Path, names: Iterable[str], roots: Sequence[Path]) -> None:
        self.path, file = path, allowed_file(path, roots)
        values = {name: _read(file, name, roots) for name in {*names} - {""}}
        self._values = {name: value for name, value in values.items() if value is not None}

    def value(self, name: str) -> Value | None:
        """Return a text, a number, or the mean of several numbers; None without a value."""
        return self._values[name][0] if name in self._values else None

    def unit(self, name: str) -> str:
        """Return the unit that the file states for a number; an empty text without one."""
        return self._values[name][1] if name in self._values else ""

    def whole_number(self, name: str) -> int | None:
        """Return a whole number from -1; None without a value, FrameError for any other."""
        value = self.value(name)
        return None if value is None else whole_number(value, f"{self.path}: {name}", least=-1)

    def number(self, name: str, unit: str | None = None) -> float | None:
        """Return a number, converted to `unit`; None if there is none. FrameError if the units do not fit."""
        value, own = self._values.get(name, (None, ""))
        if not isinstance(value, int | float):
            return None
        try:
            return float(converted(float(value), own, unit))
        except UnitError as error:
            raise FrameError(f"{self.path}: {name}: {error}") from None

    def numbers(self, names: Mapping[str, str], units: Mapping[str, str]) -> dict[str, float]:
        """Return numbers by data key, from their names and units by data key; the log has those that are missing."""
        values = {key: self.number(name, units.get(key)) for key, name in names.items()}
        found = {key: x for key, x in values.items() if x is not None and np.isfinite(x)}
        for key in values.keys() - found.keys():
            logger.warning("%s: %s, the path of %r, holds no number", self.path, names[key], key)
        return found

    def values(self, names: Mapping[str, str]) -> dict[str, Value]:
        """Return the values that there are by key, from their names by key."""
        values = {key: self.value(name) for key, name in names.items()}
        return {key: value for key, value in values.items() if value is not None}


def _read(path: Path, name: str, roots: Sequence[Path]) -> tuple[Value, str] | None:
    """Return the text of a dataset or the mean of its numbers, with its unit; None without such a dataset."""
    with open_item(path, name, roots, is_complete=True) as item:
        if not isinstance(item, h5py.Dataset) or not item.size:
            return None
        if item.nbytes > MOST_BYTES:
            raise FrameError(f"{path}, {name!r}: it unpacks to {item.nbytes / 1e6:,.0f} MB, which is no metadata")
        unit = stated(item.attrs.get("units"))
        if h5py.check_string_dtype(item.dtype):
            return str(item.asstr()[(0,) * item.ndim]), unit
        if item.dtype.kind not in "biuf":
            return None
        values = np.ravel(item[()])
        return (values[0].item() if values.size == 1 else float(values.mean())), unit
