"""The picture of a run in progress on a server that has our pages: one an agent, kept in the server's memory."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from tiled.client.container import Container
from tiled.client.utils import handle_error

from ainerd.results._agents import SOON_S, agent_key


class LiveNode:
    """Where an agent shows its run in progress; errors of the server are raised.

    Parameters
    ----------
    ainerd : tiled.client.container.Container
        ``client["ainerd"]``.
    agent : str
        Its name.
    """

    def __init__(self, ainerd: Container, agent: str) -> None:
        self._ainerd, self._key = ainerd, agent_key(agent)

    def show(self, said: Mapping[str, Any], picture: NDArray[np.float32]) -> bool:
        """Keep a picture (n, m) in place of the one before, and what is said of it; whether a page looks."""
        about = {**said, "shape": list(picture.shape)}
        return self._put(picture.tobytes(), {"x-said": json.dumps(about)})

    def is_wanted(self) -> bool:
        """Whether a page looks."""
        return self._put(b"", {})

    def forget(self) -> None:
        """Take the picture away: the run is over."""
        self._request("DELETE")

    def _put(self, body: bytes, headers: dict[str, str]) -> bool:
        headers = {"content-type": "application/octet-stream", **headers}
        return bool(self._request("PUT", content=body, headers=headers).json()["wanted"])

    def _request(self, method: str, **more: Any) -> httpx.Response:
        at = self._ainerd.uri.rstrip("/").replace("/api/v1/metadata", "/custom/ainerd/live", 1)
        http: httpx.Client = self._ainerd.context.http_client
        return handle_error(http.request(method, f"{at}/agents/{self._key}", timeout=SOON_S, **more))
