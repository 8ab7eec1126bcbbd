"""Numbers in result files of other programs (HDF5): errors name the file and the dataset."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd.documents import FrameError
from ainerd.units import UnitError, converted, same_unit, stated
from ainerd_files._layouts import is_there, why_not_opened

Numbers = NDArray[np.float64]
MOST_BYTES = 2**32  # of a map
FRAME_TIMES = ("entry/instrument/detector_1/frame_time", "entry/instrument/detector/frame_time")


@contextmanager
def opened(path: str | PathLike[str]) -> Iterator[h5py.File]:
    """Open a file for reading; every error of reading it becomes a ValueError that names it."""
    try:
        file = h5py.File(path, "r")
    except OSError as err:
        raise ValueError(why_not_opened(path, err)) from None
    with file:
        try:
            yield file
        except (OSError, RuntimeError, KeyError, TypeError, FrameError) as err:
            raise ValueError(f"{path} cannot be read: {err}") from None
        except ValueError as err:
            named = str(err).startswith(str(path))
            raise ValueError(f"{err}" if named else f"{path}: {err}") from None


def dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """Return a dataset of numbers; raise ValueError without one, and if it is too large."""
    where = f"{group.name.rstrip('/')}/{name}"
    item = group.get(name)
    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"{where} is not there")
    if item.dtype.kind not in "biuf" or not item.size:
        raise ValueError(f"{where} holds no numbers")
    if (size := math.prod(sorted(item.shape)[-2:]) * item.dtype.itemsize) > MOST_BYTES:  # a stack is read map by map
        raise ValueError(f"{where} unpacks to {size / 1e9:.1f} GB")
    return item


def numbers(group: h5py.Group, name: str, unit: str = "") -> Numbers:
    """Read numbers of any shape as a list, in a unit if the dataset states one; ValueError if it does not fit."""
    values = np.ravel(dataset(group, name)[()]).astype(float)
    own = stated(group[name].attrs.get("units"))
    try:
        return np.asarray(converted(values, "" if same_unit(own, "1") else own, unit))
    except UnitError as err:
        raise UnitError(f"{group.name.rstrip('/')}/{name}: {err}") from None


def number(group: h5py.Group, name: str, otherwise: float | None = None, unit: str = "") -> float:
    """Read one number; without a dataset, and without a number to return otherwise, raise ValueError."""
    if is_there(group, name) or otherwise is None:
        return float(numbers(group, name, unit)[0])
    return otherwise


def frame_time(file: h5py.File, names: tuple[str, ...] = FRAME_TIMES) -> float:
    """Read the seconds from frame to frame, by the first of these names that exists."""
    name = next((name for name in names if is_there(file, name)), None)
    if name is None:
        raise ValueError(f"{names[0]} is not there: give --frame-time, the seconds from frame to frame")
    return positive(file, name, unit="s")


def positive(group: h5py.Group, name: str, otherwise: float | None = None, unit: str = "") -> float:
    """Read one number as `number` does; raise ValueError, which names it, unless it is positive and finite."""
    value = number(group, name, otherwise, unit)
    if not 0 < value < np.inf:
        raise ValueError(f"{group.name.rstrip('/')}/{name} is {value:g}, expected a positive number")
    return value
