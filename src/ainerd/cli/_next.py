"""`ainerd next`: the next position for a script without Bluesky."""

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli._shared import Config, Json, Tiled, results_at

if TYPE_CHECKING:
    from ainerd.results import AgentNode, ResultStore

ANSWER_S = 10.0  # in which an agent answers
POLL_S = 0.1


def fetch_next(
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the result of the position fetched before.")] = False,
    timeout: Annotated[float, typer.Option(min=1, max=86_400, help="How long to wait, in s.")] = 600.0,
    agent: Annotated[str | None, typer.Option(help="Name of the agent; default: that of the settings.")] = None,
    json: Json = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Fetch the next position, for a script that measures without Bluesky: one line for each actuator.

    Its suggestion gets the status taken. It is measured when an acquisition of that position has its result, and
    superseded if another position is fetched before. Exit code 2 and a reason if there is no position. A request that
    got no answer in time, or that Ctrl-C ends, is withdrawn.
    """
    from ainerd.config import Settings
    from ainerd.results import AgentNode, commands

    with results_at(tiled, config) as store:
        name = agent or (Settings.load(config).name if config is not None else _only_agent(store))
        node = AgentNode(store.container, name)
        command = commands.Next(by="script", verified=False, wait_s=timeout if wait else 0.0)
        answer = _answer(node, command, name, timeout + ANSWER_S if wait else min(timeout, ANSWER_S))
    if answer["status"] != "done":
        raise ValueError(f"agent {name!r} has no next position: {answer['answer']}")
    if json:
        import json as as_json

        print(as_json.dumps({key: answer[key] for key in ("suggestion", "position", "reason")}))
        return
    for actuator, x in answer["position"].items():
        print(f"{actuator} {x:.6g}")
    print(answer["reason"], file=sys.stderr)


def _answer(node: "AgentNode", command: Any, name: str, within_s: float) -> dict[str, Any]:
    """Send a command and return its node once the agent has answered; ValueError after `within_s`."""
    import httpx

    end, is_sent, answer = time.monotonic() + within_s, False, {"status": "asked"}
    try:
        while time.monotonic() < end:
            with suppress(httpx.TransportError):  # the server is away: the same id is sent once
                if not is_sent:
                    try:
                        node.send(command)
                    except KeyError:
                        raise ValueError(f"there has never been an agent {name!r} here") from None
                    is_sent = True
                answer = dict(node.command(command.id))
                if answer["status"] != "asked":
                    return answer
            time.sleep(POLL_S)
    finally:
        if is_sent and answer["status"] == "asked":
            with suppress(httpx.TransportError, KeyError):
                node.answer(command.id, "refused", "withdrawn: its script does not wait any more")
    raise ValueError(f"agent {name!r} does not answer, so the request is withdrawn: is `ainerd watch` running?")


def _only_agent(store: "ResultStore") -> str:
    """Return the name of the only agent; ValueError if there are several, or none."""
    agents = store.container["agents"] if "agents" in store.container else {}
    names = [str(node.metadata.get("agent")) for node in agents.values()]
    if len(names) != 1:
        raise ValueError(f"give --agent: there are {', '.join(names) or 'none'}")
    return names[0]
