"""The three errors of Tiled: it is away, it refuses the request, or the node does not exist.

Only an answer about the content of a request is a refusal. A proxy whose server
restarts may send any other answer, and a key may get its rights back.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

REFUSALS = (  # 409, 413, 415 and 422
    httpx.codes.CONFLICT, httpx.codes.REQUEST_ENTITY_TOO_LARGE, httpx.codes.UNSUPPORTED_MEDIA_TYPE,
    httpx.codes.UNPROCESSABLE_ENTITY,
)  # fmt: skip
NO_NODE = "No such entry"  # in an answer 404 of Tiled, not in that of a proxy
CLOSED = "client has been closed"


class TiledError(Exception):
    """Tiled has not done what was requested. `status` is that of its answer, or None if it did not answer."""

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
    status = response.status_code
    if status in REFUSALS:
        return Refused(text, status)
    is_missing = status == httpx.codes.NOT_FOUND and NO_NODE in response.text
    return Gone(text, status) if is_missing else Away(text, status)


def _response(error: BaseException | None) -> httpx.Response | None:
    """Return the answer 404 of which Tiled's client has made a KeyError; None for another KeyError."""
    while error is not None:
        if isinstance(error, httpx.HTTPStatusError):
            return error.response if error.response.status_code == httpx.codes.NOT_FOUND else None
        error = error.__context__
    return None
