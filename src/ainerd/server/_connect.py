"""Connect to a Tiled server, and create the two trees of an agent there."""

import os
import re

import httpx
from tiled.client import from_uri
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.queries import KeysFilter
from tiled.structures.core import Spec

from ainerd.words import plain_address

PROBE_TIMEOUT_S = 10.0  # a slow server may need 6 s
SCOPES = (  # of an agent
    "read:metadata", "read:data", "write:metadata", "write:data", "create:node", "delete:node", "delete:revision",
)  # fmt: skip


class ServerError(ValueError):
    """No Tiled server could be started or reached; the message gives the reason in one line.

    Examples
    --------
    >>> connect("http://127.0.0.1:9")
    Traceback (most recent call last):
        ...
    ainerd.server._connect.ServerError: no server answers at http://127.0.0.1:9 (ConnectError): is it running?
    """


def connect(uri: str, api_key: str | None = None, *, timeout_s: float = PROBE_TIMEOUT_S) -> Container:
    """Connect to a Tiled server, or fail within seconds.

    A short request comes first, because Tiled's own client retries for most of a minute.

    Parameters
    ----------
    uri : str
        Address such as ``http://127.0.0.1:8000``; it may hold a key as ``?api_key=``.
    api_key : str, optional
        Default: the key in `uri`, else the environment variable ``TILED_API_KEY``.
    timeout_s : float
        Longest wait for the first answer, in seconds.

    Returns
    -------
    tiled.client.container.Container
        The root, or the node that `uri` names. Close ``client.context.http_client`` when done.

    Raises
    ------
    ServerError
        If `uri` is not an address, nothing answers there, the answer is not from Tiled, or the key is refused.

    Examples
    --------
    >>> client = connect(address)
    >>> sorted(client), len(client["ainerd/results"])
    (['ainerd', 'raw'], 6)
    >>> client.context.http_client.close()
    """
    try:
        url = httpx.URL(uri)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        shown = plain_address(uri)
        raise ServerError(f"{shown!r} is neither the address of a server nor a folder: give http://host:port")
    api_key = api_key or url.params.get("api_key") or os.environ.get("TILED_API_KEY")
    if api_key and not re.fullmatch(r"[A-Za-z0-9_]+", api_key):
        raise ServerError("the API key has characters that no Tiled key has: give letters and digits only")
    root = str(url.copy_with(query=None))
    trust_env = url.host not in ("127.0.0.1", "localhost", "::1")  # no proxy to this machine
    api = url.copy_with(path=url.path.partition("/api")[0].rstrip("/") + "/api/v1/", query=None)
    _probe(api, plain_address(root), api_key, trust_env, timeout_s)
    from ainerd.results import TiledError, check_answers, translated  # imports pandas, which takes a second

    try:
        with translated():
            client = from_uri(root, api_key=api_key, trust_env=trust_env)
    except (TiledError, ValueError, KeyError) as error:
        raise ServerError(f"the server at {plain_address(root)} does not answer: {error}") from None
    check_answers(client)
    return client


def open_catalog(client: Container) -> tuple[Container, Container]:
    """Return the two trees of an agent below a writable container, and create those that are missing.

    Returns
    -------
    raw, ainerd : tiled.client.container.Container
        `raw` is for TiledWriter; `ainerd` holds ``results``, ``suggestions``, ``atlas`` and ``log`` and is
        for `ainerd.results.ResultStore`.

    Raises
    ------
    ServerError
        If the key does not allow writing.

    Examples
    --------
    >>> client, close = open_tiled(settings.storage)
    >>> raw, ainerd = open_catalog(client)
    >>> sorted(client), sorted(ainerd)
    (['ainerd', 'raw'], ['atlas', 'log', 'results', 'suggestions'])
    >>> close()
    """
    from ainerd.results import CAMPAIGN, SPEC_VERSION, check_answers  # imports pandas, which takes a second

    check_answers(client)
    specs = Spec("CatalogOfBlueskyRuns", version="3.0"), Spec(CAMPAIGN, version=SPEC_VERSION)
    trees = dict(zip(("raw", "ainerd"), specs, strict=True))
    known = dict(client.search(KeysFilter([*trees])).items())  # each may be a catalog of its own in the configuration
    raw, ainerd = [known[key] if key in known else _container(client, key, [spec]) for key, spec in trees.items()]
    existing = set(ainerd)
    for key, spec in {"results": "Results", "suggestions": "Suggestions", "log": "Logbook", "atlas": None}.items():
        if key not in existing or key == "results":  # this attempt shows whether the key allows writing
            _container(ainerd, key, [Spec(f"Ainerd{spec}", version=SPEC_VERSION)] if spec else None)
    return raw, ainerd


def _container(parent: Container, key: str, specs: list[Spec] | None = None) -> Container:
    """Return the child container `key`, created if missing; ServerError if the key does not allow it."""
    from ainerd.results import shared_tags

    tags = shared_tags(parent.item["attributes"].get("access_tags") or ())
    try:
        return parent.create_container(key, specs=specs, access_tags=tags)
    except ClientError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise ServerError(
                f"the API key does not allow writing at {plain_address(parent.uri)}: an agent needs the scopes "
                f"{', '.join(SCOPES)}; any key can read results"
            ) from None
        if status != 409:
            raise
        return parent[key]


def _probe(api: httpx.URL, shown: str, api_key: str | None, trust_env: bool, timeout_s: float) -> None:
    """Raise ServerError, which names the address `shown`, unless Tiled answers at `api` and accepts the key."""
    headers = {"Authorization": f"Apikey {api_key}"} if api_key else {}
    try:
        with httpx.Client(timeout=timeout_s, trust_env=trust_env, follow_redirects=True) as http:
            root = http.get(api)
            metadata = http.get(api.join("metadata/"), headers=headers)
    except httpx.HTTPError as error:
        raise ServerError(f"no server answers at {shown} ({type(error).__name__}): is it running?") from None
    try:
        root.json()["library_version"]
    except (ValueError, KeyError, TypeError):
        raise ServerError(f"the server at {shown} is not a Tiled server") from None
    if metadata.status_code in (401, 403):
        refusal = f"{'refuses the' if api_key else 'requires an'} API key: set AINERD_STORAGE__API_KEY"
        raise ServerError(f"the Tiled server at {shown} {refusal}")
    if metadata.is_error:
        raise ServerError(f"the Tiled server at {shown} answers {metadata.status_code} {metadata.reason_phrase}")
