"""Nodes of Tiled: made so that a second attempt finds the first, and read many at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
from tiled.client.container import Container
from tiled.client.utils import MSGPACK_MIME_TYPE, ClientError, handle_error, retry_context
from tiled.structures.core import Spec

SPEC_VERSION = "1.0"  # of the specs of our nodes
PAGE = 300  # the most a Tiled server gives at once
_KEYS = 100  # asked for by name in one request: 4 kB of address

Node = tuple[str, Mapping[str, Any]]
# Pages by their address that were asked for together; see `ainerd.results._ahead`.
found_ahead: ContextVar[dict[str, dict[str, Any]] | None] = ContextVar("found_ahead", default=None)


class Search(NamedTuple):
    """What Tiled is asked for."""

    url: str
    params: Mapping[str, Any]

    @property
    def address(self) -> str:
        """All of it in one text."""
        return str(httpx.URL(self.url, params=self.params))


def create_node(parent: Container, key: str, metadata: dict[str, Any], spec: str | None) -> tuple[Container, bool]:
    """The container of that key, and whether it is new; one that is there stays as it is."""
    specs = [] if spec is None else [Spec(spec, version=SPEC_VERSION)]
    try:
        return parent.create_container(key, metadata=metadata, specs=specs), True
    except ClientError as error:
        if not is_conflict(error):
            raise
        return parent[key], False


def result_node(results: Container, key: str) -> Container:
    """The node of a result; KeyError says where to look if there is none."""
    try:
        return results[key]
    except KeyError:
        raise KeyError(f"no result {key!r}: see store.table()") from None


def is_conflict(error: ClientError) -> bool:
    """Whether the server refuses because there is such a key already."""
    return bool(error.response.status_code == httpx.codes.CONFLICT)


def read_nodes(container: Container, offset: int = 0, **equal: str | None) -> Iterator[Node]:
    """Key and metadata of the children in the order they were made, from number `offset` on.

    Only those whose metadata have the values in `equal`; None is any. One request for each page of them. Only metadata
    are asked for: with the other fields, which `container.items()` wants, the server looks into each child, and takes
    four times as long.
    """
    return _pages(container, nodes_from(container, offset, **equal))


def nodes_from(container: Container, offset: int = 0, **equal: str | None) -> Search:
    """The first page of `read_nodes`."""
    return _of_metadata(container, {"page[offset]": offset, "page[limit]": PAGE} | _conditions(equal))


def read_children(container: Container, path: str, timeout_s: float, **equal: str) -> list[Node]:
    """Key and metadata of the children at a path below, as `read_nodes`; one request, which is not tried again.

    None are there if nothing is at that path.
    """
    url = f"{container.item['links']['search'].rstrip('/')}/{path}"
    params = {"fields": "metadata", "omit_links": True, "page[limit]": PAGE} | _conditions(equal)
    headers = {"Accept": MSGPACK_MIME_TYPE}
    response = container.context.http_client.get(url, params=params, headers=headers, timeout=timeout_s)
    if response.status_code == httpx.codes.NOT_FOUND:
        return []
    return [(node["id"], node["attributes"]["metadata"]) for node in handle_error(response).json()["data"]]


def read_named(container: Container, keys: Sequence[str]) -> Iterator[Node]:
    """Key and metadata of those children that are there."""
    for search in nodes_named(container, keys):
        yield from _pages(container, search)


def nodes_named(container: Container, keys: Sequence[str]) -> list[Search]:
    """What `read_named` asks."""
    some = [json.dumps(keys[start : start + _KEYS]) for start in range(0, len(keys), _KEYS)]
    asked = [{"filter[keys_filter][condition][keys]": named, "page[limit]": PAGE} for named in some]
    return [_of_metadata(container, search) for search in asked]


def newest_nodes(container: Container, most: int, **equal: str | None) -> list[Node]:
    """Key and metadata of the children made last whose metadata have these values, the last first. One request."""
    wanted = {"fields": "metadata", "omit_links": True, "sort": "-", "page[limit]": most} | _conditions(equal)
    found = _page(container, Search(container.item["links"]["search"], wanted))["data"]
    return [(node["id"], node["attributes"]["metadata"]) for node in found]


def newest_key(container: Container, **equal: str | None) -> str | None:
    """Key of the child made last whose metadata have these values; None if there is none. One request."""
    found = _page(container, newest_of(container, **equal))["data"]
    return found[0]["id"] if found else None


def newest_of(container: Container, **equal: str | None) -> Search:
    """What `newest_key` asks."""
    wanted = {"fields": "", "omit_links": True, "sort": "-", "page[limit]": 1} | _conditions(equal)
    return Search(container.item["links"]["search"], wanted)


def read_shapes(container: Container, key: str) -> dict[str, list[int] | None]:
    """Shapes of the arrays in a child, by name; None for a table. Nothing, if there is no such child."""
    url = f"{container.item['links']['search']}/{key}"
    params = {"fields": ["structure", "structure_family"], "omit_links": True, "page[limit]": PAGE}
    nodes = _page(container, Search(url, params))["data"]
    return {node["id"]: node["attributes"]["structure"].get("shape") for node in nodes}


def _conditions(equal: Mapping[str, str | None]) -> dict[str, list[str]]:
    given = {key: json.dumps(value) for key, value in equal.items() if value is not None}
    return {"filter[eq][condition][key]": [*given], "filter[eq][condition][value]": [*given.values()]}


def _of_metadata(container: Container, wanted: Mapping[str, Any]) -> Search:
    return Search(container.item["links"]["search"], {"fields": "metadata", "omit_links": True, **wanted})


def _pages(container: Container, search: Search) -> Iterator[Node]:
    while True:
        page = _page(container, search)
        yield from ((node["id"], node["attributes"]["metadata"]) for node in page["data"])
        if not (url := page["links"]["next"]):
            return
        same = {name: x for name, x in search.params.items() if name != "page[offset]"}
        search = Search(url, same | parse_qs(urlsplit(url).query))


def _page(container: Container, search: Search) -> dict[str, Any]:
    url, params = search
    if (ahead := found_ahead.get()) and (found := ahead.pop(search.address, None)) is not None:
        return found
    for attempt in retry_context():
        with attempt:
            response = container.context.http_client.get(url, params=params, headers={"Accept": MSGPACK_MIME_TYPE})
            return handle_error(response).json()
    raise AssertionError("retry_context gives up by raising")
