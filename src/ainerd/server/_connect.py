"""The way to a Tiled server, and the trees that an agent has there."""

import os
import re
from contextlib import suppress

import httpx
from tiled.client import from_uri
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.structures.core import Spec

PROBE_TIMEOUT_S = 3.0
SCOPES = ("read:metadata", "read:data", "write:metadata", "write:data", "create:node", "delete:node")  # of an agent


class ServerError(RuntimeError):
    """No Tiled server could be started or reached; the message says why in one line."""


def connect(uri: str, api_key: str | None = None, *, timeout_s: float = PROBE_TIMEOUT_S) -> Container:
    """Connect to a Tiled server, or say within seconds why not.

    The Tiled client alone retries for most of a minute; here one short request comes first.

    Parameters
    ----------
    uri : str
        Such as ``http://127.0.0.1:8000``; a key in its query is used.
    api_key : str, optional
        Otherwise that of the environment, ``TILED_API_KEY``.
    timeout_s : float
        How long the first answer may take.

    Returns
    -------
    tiled.client.container.Container
        The root, or the node the address names. Close ``client.context.http_client`` when done.

    Raises
    ------
    ServerError
        If the address is no address, nothing answers there, what answers is not Tiled, or it refuses the key.
    """
    try:
        url = httpx.URL(uri)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise ServerError(f"{uri.partition('?')[0]!r} is no address of a server, and no folder: give http://host:port")
    api_key = api_key or url.params.get("api_key") or os.environ.get("TILED_API_KEY")
    if api_key and not re.fullmatch(r"[A-Za-z0-9_]+", api_key):
        raise ServerError("the API key has characters no Tiled key has: letters and digits only")
    shown = str(url.copy_with(query=None))
    trust_env = url.host not in ("127.0.0.1", "localhost", "::1")  # no proxy on the way to this machine
    api = url.copy_with(path=url.path.partition("/api")[0].rstrip("/") + "/api/v1/", query=None)
    probe(api, shown, api_key, trust_env, timeout_s)
    return from_uri(shown, api_key=api_key, trust_env=trust_env)


def open_catalog(client: Container) -> tuple[Container, Container]:
    """The two trees of a server, or of a container one may write into, made where they are missing.

    Returns
    -------
    raw, ainerd : tiled.client.container.Container
        `raw` is for TiledWriter; `ainerd` holds ``results``, ``suggestions``, ``atlas`` and ``log`` and is
        for `ainerd.results.ResultStore`.

    Raises
    ------
    ServerError
        If the key may not write.
    """
    raw = _container(client, "raw", [Spec("CatalogOfBlueskyRuns", version="3.0")])
    ainerd = _container(client, "ainerd", [Spec("AinerdCampaign", version="1.0")])
    for key, spec in {"results": "AinerdResults", "suggestions": "AinerdSuggestions", "log": "AinerdLogbook"}.items():
        _container(ainerd, key, [Spec(spec, version="1.0")])
    _container(ainerd, "atlas")
    return raw, ainerd


def _container(parent: Container, key: str, specs: list[Spec] | None = None) -> Container:
    """A container in another one, made if it is not there; ServerError if the key may not."""
    try:
        return parent.create_container(key, specs=specs)
    except ClientError as error:
        status = error.response.status_code
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            shown = httpx.URL(parent.uri).copy_with(query=None)
            raise ServerError(
                f"the API key may not write at {shown}: an agent needs one with the scopes {', '.join(SCOPES)}; "
                "results are read with any key"
            ) from None
        if status != httpx.codes.CONFLICT:
            raise
        there = parent[key]
        if specs and not there.specs:  # of an earlier version, which had none: pages know a node by its spec
            with suppress(ClientError):
                there.replace_metadata(specs=specs, drop_revision=True)
        return there


def probe(api: httpx.URL, shown: str, api_key: str | None, trust_env: bool, timeout_s: float = PROBE_TIMEOUT_S) -> None:
    """Whether Tiled answers at an address, which is `shown` in what ServerError says, and takes the key."""
    headers = {"Authorization": f"Apikey {api_key}"} if api_key else {}
    try:
        with httpx.Client(timeout=timeout_s, trust_env=trust_env, follow_redirects=True) as http:
            about = http.get(api)
            metadata = http.get(api.join("metadata/"), headers=headers)
    except httpx.HTTPError as error:
        raise ServerError(f"no server answers at {shown} ({type(error).__name__}): is it running?") from None
    try:
        about.json()["library_version"]
    except (ValueError, KeyError, TypeError):
        raise ServerError(f"what answers at {shown} is not a Tiled server") from None
    if metadata.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        what = "refuses the API key" if api_key else "wants an API key"
        raise ServerError(f"the Tiled server at {shown} {what}")
    if metadata.is_error:
        raise ServerError(f"the Tiled server at {shown} answers {metadata.status_code} {metadata.reason_phrase}")
