"""The files that `ainerd analyze` and `ainerd average` write, as `read_curves` and `MapFile` read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics import Partition

Columns = Mapping[str, NDArray[Any]]


def write_results(
    path: Path, arrays: Columns, tables: Mapping[str, Columns], about: Mapping[str, Any], bins: Partition | None
) -> None:
    """Write the bins as NXxpcs has them, arrays, a group of columns for each table, and numbers as attributes."""
    if bins is not None:
        bins.save(path)
    with h5py.File(path, "w" if bins is None else "a") as file:
        for name, array in arrays.items():
            packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if array.ndim > 1 else {}
            file.create_dataset(name, data=array, **packed)
        for name, columns in tables.items():
            for column, values in columns.items():
                text = np.asarray(values).dtype.kind in "OU"
                file[f"{name}/{column}"] = np.asarray(values, object).astype(h5py.string_dtype()) if text else values
        file.attrs.update({name: value for name, value in about.items() if value is not None})
