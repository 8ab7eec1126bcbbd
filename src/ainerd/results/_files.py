"""Contents of results, as HDF5 files or in memory; many are read at once."""

import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tiled.client.container import Container
from tiled.queries import KeysFilter

from ainerd.results._errors import TiledError
from ainerd.results._nodes import PATIENT, request, result_node
from ainerd.results._records import Metadata

if TYPE_CHECKING:
    import h5py  # not needed by a client that reads through a server

AT_ONCE = 100  # results whose metadata are in a request: an address of 4 kB


class Content:
    """An array with the names of its dimensions, or a table, in memory.

    It is read like a node of Tiled; other attributes are those of `values`.

    Examples
    --------
    >>> (result,) = store.load([store.key(3)], ["g2"])
    >>> result.g2.dims, result.g2.shape, float(result.g2.max().round(3))
    (('roi', 'tau'), (1, 31), 1.199)
    """

    def __init__(self, values: Any, dims: tuple[str, ...] | None = None) -> None:
        self.values, self.dims = values, dims

    def read(self) -> Any:
        """Return the array, or the table."""
        return self.values

    def write(self, group: "h5py.Group", name: str, units: Mapping[str, str]) -> None:
        """Write an array of numbers, texts or times as a dataset, or a table as a group of its columns.

        The name of the array, and those of the columns, select their unit.
        """
        place = name.replace("/", "_")
        if isinstance(self.values, pd.DataFrame):
            columns = group.create_group(place, track_order=True)
            for column in self.values:
                Content(self.values[column].to_numpy()).write(columns, str(column), units)
            return
        array = np.asarray(self.values)
        if array.dtype.kind == "M":
            array = np.datetime_as_string(array)
        if array.dtype.kind not in "biufcSV":
            array = np.char.encode(array.astype(str), "utf-8")
        dataset = group.create_dataset(place, data=array)
        if self.dims:
            dataset.attrs["dims"] = ",".join(self.dims)
        if name in units:
            dataset.attrs["units"] = units[name]

    def __getitem__(self, index: object) -> object:
        return self.values[index]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "values":
            raise AttributeError(name)
        return getattr(self.values, name)


class LoadedResult(dict[str, Content]):
    """A result in memory: `metadata`, and its arrays and tables as items; arrays are attributes too.

    The panels of a technique use it like an `ainerd.results.AinerdResult`.

    Examples
    --------
    >>> results = [*store.load(store.search(regime=1).index, ["g2"])]  # all in one request
    >>> [(result.metadata["scan_id"], float(result.g2[0, 0].round(3))) for result in results]
    [(3, 1.199), (4, 1.199)]
    """

    def __init__(
        self,
        key: str,
        metadata: Metadata,
        parts: Mapping[str, Content],
        find_configuration: Callable[[str], "LoadedResult | None"] = lambda digest: None,
    ) -> None:
        super().__init__(parts)
        self.key, self.metadata, self._find_configuration = key, metadata, find_configuration

    @property
    def configuration(self) -> "LoadedResult":
        """The arrays and metadata shared by all results with the same parameters; KeyError if they were not written."""
        configuration = self._find_configuration(self.metadata["digest"])
        if configuration is None:
            raise KeyError(f"the configuration {self.metadata['digest']} is not on this server")
        return configuration

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {name: part.values for name, part in self.items() if isinstance(part.values, np.ndarray)}

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name, also those of series."""
        return {name: part.values for name, part in self.items() if isinstance(part.values, pd.DataFrame)}

    def __getattr__(self, name: str) -> Content:
        if name not in self:
            raise AttributeError(f"this result has no array {name!r}")
        return self[name]


def load(ainerd: Container, keys: Sequence[str], names: Collection[str] | None = None) -> Iterator[LoadedResult]:
    """Yield results, or only some arrays and tables of each, in the order of the keys.

    The file of a result is fetched whole; without one each array takes a request. An array whose only dimension has its
    own name comes along, as a coordinate, unless `names` is empty.
    KeyError if a result does not exist.
    """
    configuration, with_files = cache(partial(read_configuration, ainerd)), ainerd.include_data_sources()
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        nodes = dict(with_files["results"].search(KeysFilter([*some])).items()) if len(some) > 1 else {}
        for key in some:
            node = nodes[key] if key in nodes else result_node(with_files, "results", key)
            file = _fetch(node)
            parts = _read_parts(node, names) if file is None else _parts_of(file, names)
            yield LoadedResult(key, node.metadata, parts, configuration)


def read_configuration(ainerd: Container, digest: str) -> LoadedResult | None:
    """Read the configuration that results with this digest of their parameters share; None if it was not written."""
    try:
        node = ainerd["configurations", digest]
    except KeyError:
        return None
    return LoadedResult(digest, node.metadata, _read_parts(node))


def _fetch(node: Container) -> bytes | None:
    """Return the file of a result; None if it has none, or the server sends no files."""
    assets = [asset for source in node.data_sources() or () for asset in source.assets]
    if not assets:
        return None
    url = node.uri.replace("/metadata/", "/asset/bytes/", 1)
    try:
        return request(node, url, attempts=PATIENT, params={"id": assets[0].id}).read()
    except TiledError as error:
        if error.status not in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND):
            raise
        return None


def _parts_of(content: bytes, names: Collection[str] | None) -> dict[str, Content]:
    """Return arrays and tables in a file of `bundle`."""
    import h5py

    parts = {}
    with h5py.File(io.BytesIO(content), "r") as file:
        for name, item in file.items():
            dims = item.attrs.get("dims")
            if not is_wanted(name, dims, names):
                continue
            if isinstance(item, h5py.Group):
                parts[name] = Content(decode_table({column: values[()] for column, values in item.items()}))
            else:
                parts[name] = Content(decode_text(np.asarray(item[()])), tuple(dims.split(",")) if dims else None)
    return parts


def _read_parts(node: Container, names: Collection[str] | None = None) -> dict[str, Content]:
    parts, shapes = {}, node.metadata.get("arrays", {})
    for name, child in node.items():  # in one request
        dims = dims_of(child)
        if not is_wanted(name, ",".join(dims), names):
            continue
        if child.structure_family == "array":
            values = decode_text(np.asarray(child.read()))
            parts[name] = Content(values.reshape(shapes.get(name, values.shape)), dims or None)
        else:
            parts[name] = Content(read_table(child))
    return parts


def is_wanted(name: str, dims: str | None, names: Collection[str] | None) -> bool:
    """Return whether an array or table is one of these names, or a coordinate that comes along."""
    return names is None or name in names or (bool(names) and dims == name)


def dims_of(array: Any) -> tuple[str, ...]:
    """Return the names of the dimensions of an array of a result; empty without names.

    Tiled knows those of arrays that it has written. Those in an HDF5 file are in an attribute.
    """
    text = array.metadata.get("dims") if array.structure_family == "array" else None
    return tuple(getattr(array, "dims", None) or ()) or tuple(text.split(",") if isinstance(text, str) else ())


def bundle(parts: Mapping[str, Content], units: Mapping[str, str]) -> bytes:
    """Return an HDF5 file with a dataset for each array, and a group of columns for each table.

    Examples
    --------
    >>> import io
    >>> import h5py
    >>> file = h5py.File(io.BytesIO(bundle({"tau": Content(np.array([0.1, 0.2]))}, {"tau": "s"})))
    >>> file["tau"][:], file["tau"].attrs["units"]
    (array([0.1, 0.2]), 's')
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest", track_order=True) as file:
        for name, part in parts.items():
            part.write(file, name, units)
    return buffer.getvalue()


def read_table(node: Any) -> pd.DataFrame:
    """Read a table of a result: a table of Tiled, or a group of columns of an HDF5 file."""
    if node.structure_family == "table":
        return pd.DataFrame(node.read())
    return decode_table({name: np.ravel(column.read()) for name, column in node.items()})


def decode_table(columns: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """Return a table of columns read from HDF5, where texts are bytes.

    Examples
    --------
    >>> decode_table({"kind": np.array([b"ageing", b"flow"])})
         kind
    0  ageing
    1    flow
    """
    return pd.DataFrame({name: decode_text(values) for name, values in columns.items()})


def decode_text(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array read from HDF5, with texts instead of bytes."""
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
