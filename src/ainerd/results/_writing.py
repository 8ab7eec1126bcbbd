"""Writing of results: each in one request, or a node for each array where the server has no route for that."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import httpx
import numpy as np
import pandas as pd
from tiled.client.container import Container
from tiled.client.utils import ClientError, handle_error
from tiled.utils import safe_json_dump

from ainerd.results._files import Part, bundle
from ainerd.results._nodes import SPEC_VERSION, create_node, is_conflict, our_route, tags_of
from ainerd.results._records import FINAL, ResultRecord

logger = logging.getLogger(__name__)

ATTEMPTS, PAUSE_S = 2, 0.5
QUICK_S, FILE_S = 10.0, 30.0  # time limits of a request without a file and with one
NODE_ATTEMPTS = 5
_NO_ROUTE = {"Not Found", "Method Not Allowed"}  # details of a server's answer for a route that it does not have


class Written(NamedTuple):
    """Answer of a server: the former status of the node, None if it is new, and whether anything was written."""

    former: str | None
    written: bool


class ResultWriter:
    """Writes the results of a container.

    Attributes
    ----------
    seems_away : bool
        Whether the server did not answer the last request.
    """

    def __init__(self, results: Container) -> None:
        self._results = results
        self.seems_away = False
        self._takes_bundles = True  # until the server answers otherwise

    def write(
        self, record: ResultRecord, parts: Mapping[str, Part] | None = None, *, unless: Sequence[str] = FINAL
    ) -> Written:
        """Write a result with its arrays and tables, unless it has one of these statuses; ClientError if refused."""
        if self._takes_bundles:
            try:
                answer = put_bundle(self._results, record, parts, unless)
            except httpx.TransportError:
                self.seems_away = True
                raise
            self._takes_bundles, self.seems_away = answer is not None, False
            if answer is not None:
                return answer
        return self._write_nodes(record, parts, unless)

    def _write_nodes(self, record: ResultRecord, parts: Mapping[str, Part] | None, unless: Sequence[str]) -> Written:
        """Write a result as a node with a node for each array and table."""
        key, metadata = record.key, record.metadata()
        begun, tags = metadata | {"status": "computing"}, record.access_tags or []
        node, is_new = create_node(self._results, key, begun, "AinerdResult", tags=tags)
        former = None if is_new else str(node.metadata["status"])
        if former in unless:
            return Written(former, False)
        if parts is not None:
            write_nodes(node, parts)
        elif record.status != "computing":
            try:
                node.delete_contents(external_only=False)  # half of an analysis
            except httpx.HTTPStatusError as error:  # a server that was killed may miss the files of these arrays
                logger.warning("the arrays in result %s cannot be removed: %s", key, error)
        if not is_new or record.status != "computing":
            node.replace_metadata(metadata, drop_revision=True)
        return Written(former, True)


def put_bundle(
    results: Container, record: ResultRecord, parts: Mapping[str, Part] | None, unless: Sequence[str]
) -> Written | None:
    """Write the node of a result and its file in one request, whole or not at all.

    Returns None if the server has no route for this. If the server does not answer, or has an error of its own, the
    request is made `ATTEMPTS` times, and finds what was written already; a server that hangs is given `QUICK_S`. Runs
    that cannot be written wait elsewhere. ClientError if the result is refused.
    """
    file = b"" if parts is None else bundle(parts, record.units)
    specs = [{"name": "AinerdResult", "version": SPEC_VERSION}]
    described = {"key": record.key, "metadata": record.metadata(), "specs": specs, "unless": list(unless)}
    head = safe_json_dump(described)
    headers = {"x-metadata-length": str(len(head)), "content-type": "application/x-hdf5"}
    for attempt in range(ATTEMPTS):
        try:
            response = results.context.http_client.put(
                our_route(results, "results"),
                content=head + file,
                headers=headers,
                timeout=FILE_S if file else QUICK_S,
            )
        except (httpx.NetworkError, httpx.RemoteProtocolError):  # such as an idle connection that the server closed
            if attempt + 1 == ATTEMPTS:
                raise
            time.sleep(PAUSE_S)
            continue
        if response.is_server_error and attempt + 1 < ATTEMPTS:
            time.sleep(PAUSE_S)
            continue
        if _has_no_route(response):
            return None
        answer = handle_error(response).json()
        return Written(answer["found"], bool(answer["written"]))
    raise AssertionError("the last attempt raises")


def write_nodes(node: Container, parts: Mapping[str, Part]) -> None:
    """Write each array and table as a node, in place of the remains of an earlier attempt."""
    tags = tags_of(node)
    for name, part in parts.items():
        for attempt in range(NODE_ATTEMPTS):  # another process may write the same at the same time
            try:
                if isinstance(part.values, pd.DataFrame):
                    node.write_table(part.values, key=name, access_tags=tags)
                else:
                    node.write_array(np.ascontiguousarray(part.values), key=name, dims=part.dims, access_tags=tags)
                break
            except ClientError as error:
                if not is_conflict(error) or attempt + 1 == NODE_ATTEMPTS:
                    raise
            with suppress(KeyError):
                node.delete_contents(name, external_only=False)


def _has_no_route(response: httpx.Response) -> bool:
    if response.status_code not in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
        return False
    try:
        return response.json().get("detail") in _NO_ROUTE
    except ValueError:
        return True
