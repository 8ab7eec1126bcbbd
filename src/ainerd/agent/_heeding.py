"""What people ask on pages, done once."""

import logging
import secrets

import httpx
from tiled.client.utils import ClientError

from ainerd.agent._state import StateWriter
from ainerd.campaign import Campaign, heed
from ainerd.results import ResultStore

logger = logging.getLogger(__name__)


class Heeding:
    """Called in the worker's thread, does what people ask of a campaign; nothing while Tiled does not answer."""

    def __init__(self, store: ResultStore, campaign: Campaign, state: StateWriter) -> None:
        self._store, self._campaign, self._state = store, campaign, state
        self._process = secrets.token_hex(8)  # beside others of this name
        self._heeded: dict[str, tuple[str, str]] = {}  # what became of wishes, by their keys

    def __call__(self) -> None:
        if self._store.seems_away:
            return
        try:
            for key, wish in self._state.node.wishes():
                if key not in self._heeded:
                    if not self._state.node.claim(key, self._process):
                        continue  # another process of this name heeds it
                    self._heeded[key] = heed(self._campaign, wish)
                self._state.node.answer(key, *self._heeded[key])
                self._state.changed()
        except (ClientError, httpx.HTTPError) as error:
            logger.debug("what people ask is not read: %s", error)
