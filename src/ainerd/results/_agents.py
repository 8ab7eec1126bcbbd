"""What agents say of themselves in Tiled, and what people ask of them there."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
from tiled.client.container import Container
from tiled.client.utils import ClientError, handle_error

from ainerd.results._keys import digest
from ainerd.results._nodes import create_node, read_children
from ainerd.results._record import plain, utc_now

LEASE_S = 60.0  # for which a claim of a wish holds
SOON_S = 5.0  # a server that takes longer is asked another time
Wish = Mapping[str, Any]


class AgentNode:
    """What an agent says of itself, ``ainerd/agents/<digest of its name>``, and below it what people ask of it.

    Nothing is tried again and again: what is not said now is said a few seconds later.

    Parameters
    ----------
    ainerd : tiled.client.container.Container
        ``client["ainerd"]``.
    agent : str
        Its name.
    """

    def __init__(self, ainerd: Container, agent: str) -> None:
        self._ainerd, self._agent, self._key = ainerd, agent, agent_key(agent)
        self._is_there = False

    def say(self, state: Mapping[str, Any]) -> None:
        """Keep `state`, plain values, instead of what was said before."""
        metadata = {**plain(state), "agent": self._agent}
        try:
            self._request("PUT", self._key, {"metadata": metadata})
        except ClientError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            agents, _ = create_node(self._ainerd, "agents", {}, None)
            create_node(agents, self._key, metadata, "AinerdAgent")
        self._is_there = True

    def say_more(self, state: Mapping[str, Any]) -> None:
        """Keep these values instead of those of the same names; the others stay."""
        self._merge(self._key, plain(state))

    def wishes(self) -> list[tuple[str, Wish]]:
        """What people ask and the agent has not answered, by key, oldest first. One request."""
        if not self._is_there:
            return []
        return list(read_children(self._ainerd, f"agents/{self._key}", SOON_S, status="asked"))

    def claim(self, key: str, name: str) -> bool:
        """Whether a wish is to be heeded by `name`, one of several processes of the agent: the first that claims it.

        A claim is a node below the wish, which can be made once. One that has led to no answer in `LEASE_S` is of a
        process that has ended, and may be taken over, once again by one alone.
        """
        parent, claim = self._ainerd["agents", self._key, key], "claim"
        while True:
            node, is_new = create_node(parent, claim, {"by": name, "created": utc_now()}, None)
            if is_new:
                return True
            if time.time() - datetime.fromisoformat(node.metadata["created"]).timestamp() < LEASE_S:
                return bool(node.metadata["by"] == name)
            claim = f"{claim}-over"  # that of whoever takes this one over

    def answer(self, key: str, status: str, answer: str) -> None:
        """Say what became of a wish: ``done`` or ``refused``, and why."""
        self._merge(f"{self._key}/{key}", {"status": status, "answer": answer, "answered": utc_now()})

    def _merge(self, path: str, values: dict[str, Any]) -> None:
        merge = "application/merge-patch+json"
        body = {"content-type": merge, "metadata": values, "specs": None, "access_tags": None}
        self._request("PATCH", path, body)

    def _request(self, method: str, path: str, body: dict[str, Any]) -> None:
        http: httpx.Client = self._ainerd.context.http_client
        url = self._ainerd.uri.rstrip("/") + f"/agents/{path}"
        handle_error(http.request(method, url, json=body, params={"drop_revision": True}, timeout=SOON_S))


def agent_key(agent: str) -> str:
    """Key of the node of an agent of that name."""
    return digest({"agent": agent})


def read_agent(ainerd: Container, agent: str) -> dict[str, Any]:
    """What an agent said last; empty if it never did."""
    try:
        return dict(ainerd["agents", agent_key(agent)].metadata)
    except KeyError:
        return {}


def principal_of(client: Container) -> str | None:
    """Who a client is on a server with accounts; None where there is one key for everybody."""
    context = client.context
    if not context.server_info.authentication.links:
        return None
    try:
        return str(context.whoami()["uuid"])
    except (ClientError, httpx.HTTPError, KeyError, TypeError):
        return None
