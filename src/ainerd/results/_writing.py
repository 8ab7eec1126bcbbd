"""Writing of results: many in one request, or a node for each array where the server has no route for that."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
LATE_S, MOST_BYTES = 10.0, 2**26  # of results that are collected
_NO_ROUTE = {"Not Found", "Method Not Allowed"}  # details of a server's answer for a route that it does not have


class Written(NamedTuple):
    """Answer of a server: the former status of the node, None if it is new, and whether anything was written."""

    former: str | None
    written: bool


class _Write(NamedTuple):
    """A result as it is sent: it is written unless its status is in `unless`."""

    record: ResultRecord
    parts: Mapping[str, Part] | None
    unless: Sequence[str]
    begun: ResultRecord  # the record before the analysis

    @property
    def file(self) -> bytes:
        """The arrays and tables; empty for a result without contents."""
        return b"" if self.parts is None else bundle(self.parts, self.record.units)


class ResultWriter:
    """Writes the results of a container, each one at once or, within `collecting`, many together.

    Attributes
    ----------
    seems_away : bool
        Whether the server did not answer the last request.
    """

    def __init__(self, results: Container) -> None:
        self._results = results
        self.seems_away = False
        self._takes_bundles = True  # until the server answers otherwise
        self._collected: dict[str, _Write] | None = None  # by key
        self._statuses: dict[str, str] = {}  # of the results in the catalog and of those collected, by key
        self._n_bytes, self._since = 0, 0.0  # size of what is collected, and the time of the first
        self._refused: dict[str, str] = {}  # reasons by key

    @property
    def is_collecting(self) -> bool:
        """Whether results are collected, to be sent together."""
        return self._collected is not None

    def write(
        self, record: ResultRecord, parts: Mapping[str, Part] | None = None, *, unless: Sequence[str] = FINAL
    ) -> Written:
        """Write a result with its arrays and tables, unless it has one of these statuses."""
        key, collected = record.key, self._collected
        if collected is None:
            return self._send([_Write(record, parts, unless, record)])[0]
        former = self._statuses.get(key)
        if former in unless:
            if key in collected:
                self._send_collected()
            return Written(former, False)
        if not collected:
            self._n_bytes, self._since = 0, time.monotonic()
        new, earlier = _Write(record, parts, unless, record), collected.pop(key, None)
        if earlier is not None:
            new = new._replace(unless=[*{*unless, *earlier.unless}], begun=earlier.begun)
        collected[key] = new
        self._statuses[key] = record.status
        self._n_bytes += sum(8 * part.values.size for part in (parts or {}).values())
        if self._n_bytes > MOST_BYTES or time.monotonic() - self._since > LATE_S:
            self._send_collected()
        return Written(former, True)

    @contextmanager
    def collecting(self, statuses: dict[str, str]) -> Iterator[dict[str, str]]:
        """Collect results, given the statuses of those that exist; yields the reasons of refused ones by key."""
        self._collected, self._statuses, self._refused = {}, statuses, {}
        try:
            yield self._refused
        finally:
            try:
                self._send_collected()
            finally:
                self._collected = None

    def _send_collected(self) -> None:
        """Send all collected results. A refused result is written as failed; any other error leaves all collected."""
        assert self._collected is not None
        writes = [*self._collected.values()]
        try:
            self._send(writes)
        except ClientError as error:
            if not _is_refused(error):
                raise
            for write in writes:  # those before the refused one are written already, and stay
                try:
                    self._send([write])
                except ClientError as refusal:
                    if not _is_refused(refusal):
                        raise
                    self._refuse(write, str(refusal))
        self._collected.clear()

    def _refuse(self, write: _Write, reason: str) -> None:
        logger.warning("result %s is refused: %s", write.record.key, reason)
        self._refused[write.record.key] = reason
        failed = write.begun.changed(status="failed", reason=reason, retake=True)
        with suppress(ClientError):  # the reason may be in the record itself
            self._send([_Write(failed, None, write.unless, failed)])

    def _send(self, writes: Sequence[_Write]) -> list[Written]:
        """Write results at once; ClientError if one is refused."""
        if self._takes_bundles and writes:
            try:
                answers = put_bundles(self._results, writes)
            except httpx.TransportError:
                self.seems_away = True
                raise
            self._takes_bundles, self.seems_away = answers is not None, False
            if answers is not None:
                return answers
        return [self._write_nodes(write) for write in writes]

    def _write_nodes(self, write: _Write) -> Written:
        """Write a result as a node with a node for each array and table."""
        record, key, metadata = write.record, write.record.key, write.record.metadata()
        begun, tags = metadata | {"status": "computing"}, record.access_tags or []
        node, is_new = create_node(self._results, key, begun, "AinerdResult", tags=tags)
        former = None if is_new else str(node.metadata["status"])
        if former in write.unless:
            return Written(former, False)
        if write.parts is not None:
            write_nodes(node, write.parts)
        elif record.status != "computing":
            try:
                node.delete_contents(external_only=False)  # half of an analysis
            except httpx.HTTPStatusError as error:  # a server that was killed may miss the files of these arrays
                logger.warning("the arrays in result %s cannot be removed: %s", key, error)
        if not is_new or record.status != "computing":
            node.replace_metadata(metadata, drop_revision=True)
        return Written(former, True)


def put_bundles(results: Container, writes: Sequence[_Write]) -> list[Written] | None:
    """Write the nodes of results and their files in one request, in order, each one whole or not at all.

    Returns None if the server has no route for this. If the server does not answer, or has an error of its own, the
    request is made `ATTEMPTS` times, and finds what was written already; a server that hangs is given `QUICK_S`. Runs
    that cannot be written wait elsewhere. ClientError if one is refused; those before it are written.
    """
    specs = [{"name": "AinerdResult", "version": SPEC_VERSION}]
    files = [each.file for each in writes]
    described = [
        {"key": r.key, "metadata": r.metadata(), "specs": specs, "unless": list(unless), "size": len(file)}
        for (r, _, unless, _), file in zip(writes, files, strict=True)
    ]
    head = safe_json_dump(described)
    headers = {"x-metadata-length": str(len(head)), "content-type": "application/x-hdf5"}
    for attempt in range(ATTEMPTS):
        try:
            response = results.context.http_client.put(
                our_route(results, "results"),
                content=b"".join([head, *files]),
                headers=headers,
                timeout=FILE_S if any(files) else QUICK_S,
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
        return [Written(answer["found"], bool(answer["written"])) for answer in handle_error(response).json()]
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


def _is_refused(error: ClientError) -> bool:
    return bool(error.response.status_code < httpx.codes.INTERNAL_SERVER_ERROR)


def _has_no_route(response: httpx.Response) -> bool:
    if response.status_code not in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
        return False
    try:
        return response.json().get("detail") in _NO_ROUTE
    except ValueError:
        return True
