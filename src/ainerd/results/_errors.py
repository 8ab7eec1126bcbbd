"""The three errors of Tiled: it is away, it refuses the request, or the node does not exist.

Only an answer of Tiled about the content of a request is a refusal. A proxy whose server restarts, or that wants a
login, may send any answer, also a success; and a key may get its rights back.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpx
from tiled.client.base import BaseClient
from tiled.client.container import Container

TOO_LARGE = httpx.codes.REQUEST_ENTITY_TOO_LARGE  # 413: also from a proxy
REFUSALS = (httpx.codes.CONFLICT, httpx.codes.UNSUPPORTED_MEDIA_TYPE, httpx.codes.UNPROCESSABLE_ENTITY)
NO_NODE = "No such entry"  # in an answer 404 of Tiled, not in that of a proxy
CLOSED = "client has been closed"
FORBIDDEN = (401, 403)  # answers of Tiled to a key that is revoked, or lacks a scope
MARK = "X-Tiled-Request-ID"  # a header of each answer of Tiled
PARSED = ("application/json", "application/x-msgpack")


# The time limit of a request, how often it may be sent, and when each was sent
_LIMITS = ContextVar[tuple[float, int, dict[tuple[str, httpx.URL], list[float]]] | None]("limits", default=None)


class TiledError(Exception):
    """Tiled has not done what was requested. `status` is that of its answer; None if it gave none, or a proxy did."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class Away(TiledError):
    """Tiled does not take the request now: the same request may succeed later."""


class Refused(TiledError):
    """Tiled never takes this request: a repeat does not help."""


class Gone(TiledError, KeyError):
    """The node does not exist."""


def check_answers(client: Container) -> None:
    """Let a client of Tiled raise an error, which is `Away`, at an answer that is not one of Tiled.

    It may be a page of a proxy, or a part of an answer. The client itself takes such an answer for what it has written.
    """
    hooks = client.context.http_client.event_hooks["response"]
    if _check_answer not in hooks:
        hooks.append(_check_answer)


def _check_answer(response: httpx.Response) -> None:
    if response.is_server_error or response.has_redirect_location or response.status_code == TOO_LARGE:
        return  # these are errors in any case
    is_whole = MARK in response.headers
    if is_whole and response.headers.get("Content-Type") in PARSED:
        response.read()
        try:
            response.json()
        except ValueError:
            is_whole = False
    if not is_whole:
        text = f"{response.url.host} answers {response.status_code} with something that is not an answer of Tiled"
        raise httpx.HTTPStatusError(text, request=response.request, response=response)


@contextmanager
def within(client: BaseClient, timeout_s: float, attempts: int) -> Iterator[None]:
    """Let Tiled's client raise `Away` if a request has no answer in time, or after some attempts, in place of 45 s.

    This holds for the requests of this thread.
    """
    hooks = client.context.http_client.event_hooks["request"]
    if _limit not in hooks:
        hooks.append(_limit)
    token = _LIMITS.set((timeout_s, attempts, {}))
    try:
        yield
    finally:
        _LIMITS.reset(token)


def _limit(request: httpx.Request) -> None:
    if (limits := _LIMITS.get()) is None:
        return
    timeout_s, attempts, requests = limits
    now, sent = time.monotonic(), requests.setdefault((request.method, request.url), [])
    if len(sent) == attempts or (sent and now - sent[0] >= timeout_s):
        raise Away(f"{request.url.host} does not answer")
    sent.append(now)
    request.extensions["timeout"] = httpx.Timeout(timeout_s).as_dict()


@contextmanager
def translated() -> Iterator[None]:
    """Raise `Away`, `Refused` or `Gone` in place of an error of Tiled's client. Other errors are raised as they are.

    Examples
    --------
    >>> import httpx
    >>> request = httpx.Request("POST", "http://127.0.0.1:8000/api/v1/metadata/")
    >>> with translated():
    ...     raise httpx.HTTPStatusError("too large", request=request, response=httpx.Response(413))
    Traceback (most recent call last):
        ...
    ainerd.results._errors.Refused: too large
    >>> with translated():
    ...     raise httpx.HTTPStatusError("a proxy", request=request, response=httpx.Response(404))
    Traceback (most recent call last):
        ...
    ainerd.results._errors.Away: a proxy
    """
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _meaning(error.response, str(error)) from error
    except httpx.HTTPError as error:
        raise Away(str(error) or type(error).__name__) from error
    except KeyError as error:
        if isinstance(error, TiledError) or (response := _response(error)) is None:
            raise
        raise _meaning(response, str(error.args[0])) from error
    except RuntimeError as error:
        if CLOSED not in str(error):
            raise
        raise Away(str(error)) from error


def _meaning(response: httpx.Response, text: str) -> TiledError:
    status, is_of_tiled = response.status_code, MARK in response.headers
    if status == TOO_LARGE or (is_of_tiled and status in REFUSALS):
        return Refused(text, status)
    if not is_of_tiled:
        return Away(text)
    is_missing = status == httpx.codes.NOT_FOUND and NO_NODE in response.text
    return Gone(text, status) if is_missing else Away(text, status)


def _response(error: BaseException | None) -> httpx.Response | None:
    """Return the answer 404 of which Tiled's client has made a KeyError; None for another KeyError."""
    while error is not None:
        if isinstance(error, httpx.HTTPStatusError):
            return error.response if error.response.status_code == httpx.codes.NOT_FOUND else None
        error = error.__context__
    return None
