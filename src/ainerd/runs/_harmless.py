"""Subscribers that never raise: an exception of a subscriber ends the plan of a RunEngine."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

logger = logging.getLogger(__name__)

LONGEST = 200  # characters of an error in the log


def harmless(take: Callable[[Any, str, Any], None]) -> Callable[[Any, str, Any], None]:
    """Decorate the ``__call__`` of a subscriber: a document that it cannot take is left out with one log line.

    Examples
    --------
    >>> class Reader:
    ...     @harmless
    ...     def __call__(self, name, doc):
    ...         print(doc["uid"])
    >>> Reader()("start", {})
    >>> Reader()("start", {"uid": "a"})
    a
    """

    @wraps(take)
    def taken(self: Any, name: str, doc: Any) -> None:
        try:
            take(self, name, doc)
        except Exception as error:
            try:
                text = str(error)[:LONGEST]
            except Exception:
                text = ""
            kind, subscriber = type(error).__name__, type(self).__name__
            logger.error("%s left out a %s document: %s: %s", subscriber, str(name)[:LONGEST], kind, text)

    return taken
