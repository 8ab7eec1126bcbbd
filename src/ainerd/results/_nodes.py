"""Nodes of Tiled that can be written again: keys are unique, so a second attempt finds the first."""

from collections.abc import Iterable, Mapping
from typing import Any

import httpx
import numpy as np
from numpy.typing import ArrayLike
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.structures.core import Spec

_PAGE = 300  # the most a Tiled server gives at once


def create_node(parent: Container, key: str, metadata: dict[str, Any], spec: str) -> tuple[Container, bool]:
    """The container of that key, and whether it is new; one that is there stays as it is."""
    try:
        return parent.create_container(key, metadata=metadata, specs=[Spec(spec, version="1.0")]), True
    except ClientError as error:
        if error.response.status_code != httpx.codes.CONFLICT:
            raise
        return parent[key], False


def write_array(node: Container, name: str, array: ArrayLike, dims: Iterable[str] | None) -> None:
    """Write an array, over what an attempt that did not finish may have left."""
    values = np.ascontiguousarray(array)
    names = None if dims is None else list(dims)
    try:
        node.write_array(values, key=name, dims=names)
    except ClientError as error:
        if error.response.status_code != httpx.codes.CONFLICT:
            raise
        old = node[name]
        if old.shape == values.shape and old.dtype == values.dtype:
            old.write(values)
        else:
            node.delete_contents(name, external_only=False)
            node.write_array(values, key=name, dims=names)


def read_metadata(container: Container) -> dict[str, Mapping[str, Any]]:
    """Metadata of all children by key, a request for each page of them."""
    return {key: node.metadata for key, node in container.items().page_size(_PAGE)}
