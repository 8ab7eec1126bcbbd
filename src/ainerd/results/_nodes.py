"""Nodes of Tiled: created so that a second attempt finds the first, and read many at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
from tiled.client.container import Container
from tiled.client.utils import MSGPACK_MIME_TYPE, ClientError, handle_error, retry_context
from tiled.structures.core import Spec

SPEC_VERSION = "1.0"  # of the specs of our nodes
PAGE = 300  # the most nodes that a Tiled server returns at once
_KEYS = 100  # in one request: an address of 4 kB
_PREFETCH_S = 30.0

Node = tuple[str, Mapping[str, Any]]
Page = dict[str, Any]
_prefetched: ContextVar[dict[str, Page] | None] = ContextVar("prefetched", default=None)  # pages by their address


class Search(NamedTuple):
    """A request to Tiled for the children of a container."""

    url: str
    params: Mapping[str, Any]

    @property
    def address(self) -> str:
        """The whole address."""
        return str(httpx.URL(self.url, params=self.params))


class Prefetch:
    """Makes several searches of children of a container in one request, if the server has our route for it."""

    def __init__(self, ainerd: Container) -> None:
        self._http = ainerd.context.http_client
        self._url = ainerd.item["links"]["self"].replace("/api/v1/metadata", "/custom/ainerd/several", 1)
        self._has_route = True  # until the server answers otherwise

    @contextmanager
    def __call__(self, searches: Sequence[Search]) -> Iterator[None]:
        """Answer each of these searches once, within this context, from a single request."""
        if not self._has_route or len(searches) < 2 or _prefetched.get():
            yield
            return
        token = _prefetched.set(self.pages(list(dict.fromkeys(search.address for search in searches))))
        try:
            yield
        finally:
            _prefetched.reset(token)

    def pages(self, addresses: Sequence[str]) -> dict[str, Page]:
        """Return the page of each search, by address; empty if that fails, as the searches then raise the error."""
        body = {"searches": [address.rsplit("/", 1)[1] for address in addresses]}
        try:
            response = self._http.post(self._url, json=body, timeout=_PREFETCH_S)
            if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
                self._has_route = False
            answers = response.raise_for_status().json()["answers"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return {}
        pages = {}
        for address, answer in zip(addresses, answers, strict=True):
            if answer is not None:
                cursor = answer.pop("next")
                link = None if cursor is None else f"{address.partition('?')[0]}?page[cursor]={cursor}"
                pages[address] = answer | {"links": {"next": link}}
        return pages


def create_node(parent: Container, key: str, metadata: dict[str, Any], spec: str | None) -> tuple[Container, bool]:
    """Create a container and return it with True; if the key exists, return that container as it is with False."""
    specs = [] if spec is None else [Spec(spec, version=SPEC_VERSION)]
    try:
        return parent.create_container(key, metadata=metadata, specs=specs), True
    except ClientError as error:
        if not is_conflict(error):
            raise
        return parent[key], False


def result_node(results: Container, key: str) -> Container:
    """Return the node of a result; raise KeyError if it does not exist."""
    try:
        return results[key]
    except KeyError:
        raise KeyError(f"no result {key!r}: see store.table()") from None


def is_conflict(error: ClientError) -> bool:
    """Return whether the server refuses because the key exists already."""
    return bool(error.response.status_code == httpx.codes.CONFLICT)


def read_nodes(container: Container, offset: int = 0, **equal: str | None) -> Iterator[Node]:
    """Yield key and metadata of the children in the order of creation, from number `offset` on.

    `equal` selects children by values in their metadata; None selects all. One request for each page. Only metadata
    are requested: for the other fields, which `container.items()` requests, the server opens each child, which takes
    four times as long.
    """
    return _pages(container, nodes_from(container, offset, **equal))


def nodes_from(container: Container, offset: int = 0, **equal: str | None) -> Search:
    """Return the search for the first page of `read_nodes`."""
    return _metadata_search(container, {"page[offset]": offset, "page[limit]": PAGE} | _conditions(equal))


def read_children(container: Container, path: str, timeout_s: float, **equal: str) -> list[Node]:
    """Read key and metadata of the children at a path below the container, in one request without retries.

    Returns an empty list if the path does not exist.
    """
    url = f"{container.item['links']['search'].rstrip('/')}/{path}"
    params = {"fields": "metadata", "omit_links": True, "page[limit]": PAGE} | _conditions(equal)
    headers = {"Accept": MSGPACK_MIME_TYPE}
    response = container.context.http_client.get(url, params=params, headers=headers, timeout=timeout_s)
    if response.status_code == httpx.codes.NOT_FOUND:
        return []
    return _nodes(handle_error(response).json())


def read_named(container: Container, keys: Sequence[str]) -> Iterator[Node]:
    """Yield key and metadata of the children with these keys, as far as they exist."""
    for search in nodes_named(container, keys):
        yield from _pages(container, search)


def nodes_named(container: Container, keys: Sequence[str]) -> list[Search]:
    """Return the searches of `read_named`."""
    batches = [json.dumps(keys[start : start + _KEYS]) for start in range(0, len(keys), _KEYS)]
    return [
        _metadata_search(container, {"filter[keys_filter][condition][keys]": batch, "page[limit]": PAGE})
        for batch in batches
    ]


def newest_nodes(container: Container, limit: int, **equal: str | None) -> list[Node]:
    """Read key and metadata of the children with these metadata that were created last, newest first. One request."""
    return _nodes(
        _page(container, _metadata_search(container, {"sort": "-", "page[limit]": limit} | _conditions(equal)))
    )


def newest_key(container: Container, **equal: str | None) -> str | None:
    """Read the key of the newest child with these metadata, or None. One request."""
    nodes = _page(container, newest_key_search(container, **equal))["data"]
    return nodes[0]["id"] if nodes else None


def newest_key_search(container: Container, **equal: str | None) -> Search:
    """Return the search of `newest_key`."""
    params = {"fields": "", "omit_links": True, "sort": "-", "page[limit]": 1} | _conditions(equal)
    return Search(container.item["links"]["search"], params)


def read_shapes(container: Container, key: str) -> dict[str, list[int] | None]:
    """Read the shapes of the arrays in a child, by name; None for a table. Empty if the child does not exist."""
    url = f"{container.item['links']['search']}/{key}"
    params = {"fields": ["structure", "structure_family"], "omit_links": True, "page[limit]": PAGE}
    nodes = _page(container, Search(url, params))["data"]
    return {node["id"]: node["attributes"]["structure"].get("shape") for node in nodes}


def _conditions(equal: Mapping[str, str | None]) -> dict[str, list[str]]:
    given = {key: json.dumps(value) for key, value in equal.items() if value is not None}
    return {"filter[eq][condition][key]": [*given], "filter[eq][condition][value]": [*given.values()]}


def _metadata_search(container: Container, params: Mapping[str, Any]) -> Search:
    return Search(container.item["links"]["search"], {"fields": "metadata", "omit_links": True, **params})


def _nodes(page: Page) -> list[Node]:
    return [(node["id"], node["attributes"]["metadata"]) for node in page["data"]]


def _pages(container: Container, search: Search) -> Iterator[Node]:
    while True:
        page = _page(container, search)
        yield from _nodes(page)
        if not (url := page["links"]["next"]):
            return
        params = {name: x for name, x in search.params.items() if name != "page[offset]"}
        search = Search(url, params | parse_qs(urlsplit(url).query))


def _page(container: Container, search: Search) -> Page:
    if (prefetched := _prefetched.get()) and (page := prefetched.pop(search.address, None)) is not None:
        return page
    headers = {"Accept": MSGPACK_MIME_TYPE}
    for attempt in retry_context():
        with attempt:
            response = container.context.http_client.get(search.url, params=search.params, headers=headers)
            return handle_error(response).json()
    raise AssertionError("retry_context gives up by raising")
