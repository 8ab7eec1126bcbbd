"""Nodes of Tiled that can be written again: keys are unique, so a second attempt finds the first."""

from collections.abc import Mapping
from typing import Any

import httpx
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.structures.core import Spec

_PAGE = 300  # the most a Tiled server gives at once


def create_node(parent: Container, key: str, metadata: dict[str, Any], spec: str) -> tuple[Container, bool]:
    """The container of that key, and whether it is new; one that is there stays as it is."""
    try:
        return parent.create_container(key, metadata=metadata, specs=[Spec(spec, version="1.0")]), True
    except ClientError as error:
        if not is_conflict(error):
            raise
        return parent[key], False


def is_conflict(error: ClientError) -> bool:
    """Whether the server refuses because there is such a key already."""
    return bool(error.response.status_code == httpx.codes.CONFLICT)


def read_metadata(container: Container) -> dict[str, Mapping[str, Any]]:
    """Metadata of all children by key, a request for each page of them."""
    return {key: node.metadata for key, node in container.items().page_size(_PAGE)}
