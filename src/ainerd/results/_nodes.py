"""Nodes of Tiled: created so that a second attempt finds the first, and read many at a time."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from packaging.version import Version
from tiled.client.base import BaseClient
from tiled.client.container import Container
from tiled.client.utils import MSGPACK_MIME_TYPE, ClientError, handle_error, retry_context
from tiled.structures.core import Spec

from ainerd import __version__
from ainerd.results._errors import translated

SPEC_VERSION = "1.0"  # of the specs of our nodes: the schema of the catalog
CAMPAIGN = "AinerdCampaign"  # spec of the container with all of them
PAGE = 300  # the most nodes that a Tiled server returns at once
KEYS = 100  # in one request: an address of 4 kB

Node = tuple[str, Mapping[str, Any]]


@translated()
def create_node(
    parent: Container, key: str, metadata: dict[str, Any], spec: str | None, *, tags: Sequence[str] | None = None
) -> tuple[Container, bool]:
    """Create a container and return it with True; if the key exists, return that container as it is with False.

    It has these access tags, by default those of its parent.
    """
    specs = [] if spec is None else [Spec(spec, version=SPEC_VERSION)]
    access_tags = tags_of(parent) if tags is None else shared_tags(tags)
    try:
        return parent.create_container(key, metadata=metadata, specs=specs, access_tags=access_tags), True
    except ClientError as error:
        if not is_conflict(error):
            raise
        return parent[key], False


def check_schema(ainerd: Container) -> None:
    """Raise ValueError if a newer ainerd, with another schema, made the container ``ainerd``."""
    for spec in ainerd.specs:
        if spec.name == CAMPAIGN and spec.version is not None and Version(spec.version) > Version(SPEC_VERSION):
            raise ValueError(
                f"a newer ainerd wrote {httpx.URL(ainerd.uri).copy_with(query=None)}: its catalog has schema "
                f"{spec.version}, ainerd {__version__} knows {SPEC_VERSION}; update it, pip install -U ainerd. Nothing "
                "was changed"
            )


def tags_of(node: BaseClient) -> list[str] | None:
    """Return the access tags that nodes below a node of Tiled get; None if it has none."""
    return shared_tags(node.item["attributes"].get("access_tags") or ())


def shared_tags(tags: Iterable[str]) -> list[str] | None:
    """Return the access tags without those of one user or service, which only Tiled gives; None if there are none.

    A node that is created with None belongs to its creator alone, where the server has a policy of tags.

    Examples
    --------
    >>> shared_tags(["beamline"])
    ['beamline']
    """
    return sorted(tag for tag in tags if not tag.startswith(("user:", "service:"))) or None


@translated()
def result_node(parent: Container, *keys: str) -> Container:
    """Return the node of a result below a container; raise KeyError if it does not exist."""
    *_, key = keys
    try:
        return parent[keys]
    except KeyError:
        raise KeyError(f"no result {key!r}: the table of results has all keys") from None


def is_conflict(error: ClientError) -> bool:
    """Return whether the server refuses because the key exists already."""
    return bool(error.response.status_code == httpx.codes.CONFLICT)


def read_nodes(container: Container, offset: int = 0, **equal: str | None) -> Iterator[Node]:
    """Yield key and metadata of the children in the order of creation, from number `offset` on.

    `equal` selects children by values in their metadata; None selects all. One request for each page. Only metadata
    are requested: for the other fields, which `container.items()` requests, the server opens each child, which takes
    four times as long.
    """
    return _pages(container, {"page[offset]": offset, **_conditions(equal)})


@translated()
def read_children(
    container: Container, path: str, timeout_s: float, keys: Sequence[str] | None = None, **equal: str
) -> list[Node]:
    """Read key and metadata of the children at a path below the container; with `keys` only of these.

    One request for each `PAGE` of them, without retries. Raises `Gone` if the path does not exist.
    """
    params = {"fields": "metadata", "omit_links": True, "page[limit]": PAGE} | _conditions(equal)
    if keys is not None:
        params |= _named(keys)
    url: str | None = f"{container.item['links']['search'].rstrip('/')}/{path}"
    headers, found = {"Accept": MSGPACK_MIME_TYPE}, list[Node]()
    while url:
        response = container.context.http_client.get(url, params=params, headers=headers, timeout=timeout_s)
        page = handle_error(response).json()
        found += _nodes(page)
        if url := page["links"]["next"]:
            params |= parse_qs(urlsplit(url).query)
    return found


def read_named(container: Container, keys: Sequence[str]) -> Iterator[Node]:
    """Yield key and metadata of the children with these keys, as far as they exist."""
    for start in range(0, len(keys), KEYS):
        yield from _pages(container, _named(keys[start : start + KEYS]))


def newest_nodes(container: Container, limit: int, fields: str = "metadata", **equal: str | None) -> list[Node]:
    """Read key and metadata of the children with these metadata that were created last, newest first. One request."""
    params = {"fields": fields, "omit_links": True, "sort": "-", "page[limit]": limit, **_conditions(equal)}
    return _nodes(get(container, container.item["links"]["search"], params).json())


def newest_key(container: Container, **equal: str | None) -> str | None:
    """Read the key of the newest child with these metadata, or None. One request."""
    return next((key for key, _ in newest_nodes(container, 1, "", **equal)), None)


@translated()
def merge_metadata(parent: Container, path: str, values: Mapping[str, Any], timeout_s: float) -> None:
    """Replace these values in the metadata of the child at a path; None removes one. One request, not repeated."""
    body = {"content-type": "application/merge-patch+json", "metadata": values, "specs": None, "access_tags": None}
    url, options = f"{parent.uri.rstrip('/')}/{path}", {"params": {"drop_revision": True}, "timeout": timeout_s}
    handle_error(parent.context.http_client.patch(url, json=body, **options))


@translated()
def get(container: Container, url: str, params: Mapping[str, Any]) -> httpx.Response:
    """Return the answer of the server of a container, after some attempts."""
    headers = {"Accept": MSGPACK_MIME_TYPE}
    for attempt in retry_context():
        with attempt:
            response: httpx.Response = container.context.http_client.get(url, params=params, headers=headers)
            handle_error(response)
            return response
    raise AssertionError("retry_context gives up by raising")


def _conditions(equal: Mapping[str, str | None]) -> dict[str, list[str]]:
    given = {key: json.dumps(value) for key, value in equal.items() if value is not None}
    return {"filter[eq][condition][key]": [*given], "filter[eq][condition][value]": [*given.values()]}


def _nodes(page: Mapping[str, Any]) -> list[Node]:
    return [(node["id"], node["attributes"].get("metadata", {})) for node in page["data"]]


def _named(keys: Sequence[str]) -> dict[str, str]:
    return {"filter[keys_filter][condition][keys]": json.dumps(keys)}


def _pages(container: Container, params: dict[str, Any]) -> Iterator[Node]:
    url: str | None = container.item["links"]["search"]
    params = {"fields": "metadata", "omit_links": True, "page[limit]": PAGE, **params}
    while url:
        page = get(container, url, params).json()
        yield from _nodes(page)
        if url := page["links"]["next"]:
            params = {name: x for name, x in params.items() if name != "page[offset]"} | parse_qs(urlsplit(url).query)
