"""Nodes of Tiled: created so that a second attempt finds the first, and read many at a time."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from stamina import retry_context
from tiled.client.base import BaseClient
from tiled.client.container import Container
from tiled.client.utils import MSGPACK_MIME_TYPE, ClientError, handle_error
from tiled.structures.core import Spec, StructureFamily
from tiled.structures.data_source import DataSource
from tiled.utils import patch_mimetypes

from ainerd.results._errors import translated, within
from ainerd.results._records import Metadata

SPEC_VERSION = "1.0"  # of the specs of our nodes: the schema of the catalog
CAMPAIGN = "AinerdCampaign"  # spec of the container with all of them
PAGE = 300  # the most nodes that a Tiled server returns at once
KEYS = 100  # in one request: an address of 4 kB
PATIENT, PAUSE_S = 20, 0.5  # attempts to read, and the pause between two: a server may be starting again

Node = tuple[str, Metadata]


@translated()
def create_node(
    parent: Container,
    key: str,
    metadata: dict[str, object],
    spec: str | None,
    *,
    tags: Sequence[str] | None = None,
    sources: Sequence[DataSource[object]] = (),
) -> tuple[Container, bool]:
    """Create a container and return it with True; if the key exists, return that container as it is with False.

    It has these access tags, by default those of its parent, and is in these files.
    """
    specs = [] if spec is None else [Spec(spec, version=SPEC_VERSION)]
    access_tags = tags_of(parent) if tags is None else shared_tags(tags)
    try:
        family = StructureFamily.container
        return parent.new(family, sources, key=key, metadata=metadata, specs=specs, access_tags=access_tags), True
    except ClientError as error:
        if not is_conflict(error):
            raise
        return parent[key], False


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
    params = {"page[offset]": offset, **_conditions(equal)}
    return _pages(container, params, container.item["links"]["search"], attempts=PATIENT)


def read_children(
    container: Container, path: str, timeout_s: float, keys: Sequence[str] | None = None, **equal: str
) -> list[Node]:
    """Read key and metadata of the children at a path below the container; with `keys` only of these.

    One request for each `PAGE` of them, without retries. Raises `Gone` if the path does not exist.
    """
    params = _conditions(equal) | ({} if keys is None else _named(keys))
    url = f"{container.item['links']['search'].rstrip('/')}/{path}"
    return [*_pages(container, params, url, timeout=timeout_s)]


def read_named(container: Container, keys: Sequence[str]) -> Iterator[Node]:
    """Yield key and metadata of the children with these keys, as far as they exist."""
    for start in range(0, len(keys), KEYS):
        named = _named(keys[start : start + KEYS])
        yield from _pages(container, named, container.item["links"]["search"], attempts=PATIENT)


def newest_key(container: Container, **equal: str | None) -> str | None:
    """Read the key of the child with these metadata that was created last, or None. One request."""
    params = {"fields": "", "sort": "-", "page[limit]": 1, **_conditions(equal)}
    nodes = _pages(container, params, container.item["links"]["search"], attempts=PATIENT)
    return next((key for key, _ in nodes), None)


@translated()
def merge_metadata(node: Container, values: Metadata, timeout_s: float) -> None:
    """Replace these values in the metadata of a node; None removes one. One request, not repeated."""
    with within(node, timeout_s, 1):
        node.patch_metadata(values, content_type=patch_mimetypes.MERGE_PATCH, drop_revision=True)


@translated()
def request(container: Container, url: str, *, attempts: int = 1, **options: object) -> httpx.Response:
    """Return the answer of the server of a container to a GET.

    It is tried again, up to `attempts` times, if the server has an error of its own or no answer comes, such as over an
    idle connection that was closed.
    """
    options["headers"] = {"Accept": MSGPACK_MIME_TYPE}
    for attempt in retry_context(on=_passes, attempts=attempts, timeout=None, wait_initial=PAUSE_S, wait_max=PAUSE_S):
        with attempt:
            response: httpx.Response = handle_error(container.context.http_client.get(url, **options))
    return response


def _passes(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError)


def _conditions(equal: Mapping[str, str | None]) -> dict[str, object]:
    given = {key: json.dumps(value) for key, value in equal.items() if value is not None}
    return {"filter[eq][condition][key]": [*given], "filter[eq][condition][value]": [*given.values()]}


def _named(keys: Sequence[str]) -> dict[str, str]:
    return {"filter[keys_filter][condition][keys]": json.dumps(keys)}


def _pages(container: Container, params: Mapping[str, object], url: str | None, **options: Any) -> Iterator[Node]:
    params = {"fields": "metadata", "omit_links": True, "page[limit]": PAGE, **params}
    while url:
        page = request(container, url, params=params, **options).json()
        yield from ((node["id"], node["attributes"].get("metadata", {})) for node in page["data"])
        if url := page["links"]["next"]:
            params = {name: x for name, x in params.items() if name != "page[offset]"} | parse_qs(urlsplit(url).query)
