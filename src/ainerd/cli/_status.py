"""`ainerd status` and `log`: print the state and the log of an agent, and why a position was chosen."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli._shared import KEY, Config, Json, Tiled, key_of, place_of, results_at
from ainerd.words import here, labelled, named_place, plain_address, printable, run_text, runnable

if TYPE_CHECKING:
    from tiled.client.container import Container

ANSWER_S = 0.7  # a slower server counts as unreachable
POLL_S = 1.0
LAST = ("scan_id", "event", "file", "run_time", "status", "regime", "novelty_p", "novel", "reason")


def status(tiled: Tiled = None, config: Config = None, json: Json = False) -> None:
    """Print the state of an agent: server, raw runs that are not in Tiled, results, last result, next position.

    The command starts nothing. It answers within one or two seconds, even if Tiled cannot be reached; the exit code is
    then 1.
    """
    from ainerd.config import Settings

    state: dict[str, object] = {}
    agent = None
    if config is not None:
        settings = Settings.load(config)
        agent, unwritten = settings.name, settings.storage.unwritten
        state = {"agent": agent, "unwritten": len([*unwritten.glob("*.jsonl")])}
    place = place_of(tiled, config)
    state |= _on_server(place, agent, f"--config {config}" if config and not tiled else place)
    if json:
        import json as as_json

        print(as_json.dumps(state))
    else:
        from rich.console import Console

        Console().print(labelled(_lines(state)))
    if "away" in state:
        raise typer.Exit(1)


def log(
    scan: Annotated[
        str | None, typer.Argument(help="Number of a scan, or the first characters of the key of its result.")
    ] = None,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many lines.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Also print new lines, until Ctrl-C.")] = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Print the log of the agents in local time, newest line last.

    With SCAN, print why its position was chosen instead: the reason, and what the agent knew at that moment.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)
    with results_at(tiled, config) as store:
        if scan is not None:
            print(store.why(key_of(store, scan)))
            return
        shown = set[str]()  # keys: a line of a slow machine, or of one whose clock is behind, comes before others
        with suppress(KeyboardInterrupt):
            while True:
                lines = store.logbook()
                for _, line in (lines[~lines.index.isin(shown)] if shown else lines.iloc[-n:]).iterrows():
                    when = here(line["created"])
                    console.print(Text(f"{when:%Y-%m-%d %H:%M:%S}  ", "dim"), Text(printable(line["text"])), sep="")
                shown.update(lines.index)
                if not follow:
                    break
                time.sleep(POLL_S)
    if not shown:
        console.print("the log is empty")


def _on_server(place: str | Path, agent: str | None, served: str | Path) -> dict[str, object]:
    """Return the address of the server and a summary of its content, or the reason why the summary is missing.

    `served` is what `ainerd serve` needs to start it.
    """
    from ainerd.server import ServerError, connect, running

    if isinstance(place, Path):
        server = running(place)
        if server is None:
            hint = f"to start it: open a session, or {runnable('ainerd serve')} {served}"
            return {"tiled": None, "away": f"the embedded server of {place} is not running; {hint}"}
        uri, key = server
    else:
        server, uri, key = None, place, os.environ.get(KEY, "")
    state: dict[str, object] = {"tiled": plain_address(uri)}
    try:
        client = connect(uri, key or None, timeout_s=ANSWER_S)
        try:
            return state | _read(client, agent)
        finally:
            client.context.http_client.close()
    except ServerError as error:
        return state | {"away": str(error)}
    except Exception as error:  # any error: the rest is still printed
        return state | {"away": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def _read(client: "Container", agent: str | None) -> dict[str, object]:
    """Read the state from a catalog of any size with a few requests."""
    from ainerd.results import AgentNode, ResultStore, where_it_steers

    if "ainerd" not in client:
        return {"empty": "no agent has written there yet"}
    store = ResultStore(client["ainerd"], agent=agent)
    counted, last = store.newest()
    ready, units = store.next_suggestion(agent or last.get("agent")), last.get("units") or {}
    following = ready and {
        "position": ready.positions,
        "reason": ready.reason,
        "units": {name: units[name] for name in ready.positions if name in units},
    }
    return {
        "at_work": where_it_steers(AgentNode(store.container, agent).state() if agent else {}),
        "results": counted,
        "last": {name: last[name] for name in LAST if last.get(name) is not None} or None,
        "next": following,
    }


def _lines(state: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the name, text and style of each line."""
    if "agent" in state:
        work = f"at work{state['at_work']}" if state.get("at_work") else "not running"
        yield "agent", f"{state['agent']}: {work}" if "at_work" in state else state["agent"], ""  # Tiled tells it
    if state["tiled"]:
        yield "tiled", state["tiled"], ""
    for name in {"away", "empty"} & state.keys():
        yield "", state[name], "yellow"
    if n := state.get("unwritten"):
        yield "runs here", f"{n} not in Tiled: agent.catch_up() writes them", "yellow"
    if "results" in state:
        by_status = ", ".join(f"{n} {status}" for status, n in sorted(state["results"].items()))
        yield "results", by_status or "none yet", ""
        yield "last", _result(state["last"]) if state["last"] else "none yet", ""
        if state["next"] is None:
            yield "next", "no suggestion waits", ""
        else:
            place = named_place(state["next"]["position"], state["next"]["units"])
            yield "next", f"{place}: {state['next']['reason']}", "cyan"


def _result(last: dict[str, Any]) -> str:
    from ainerd.results import Result

    when = f" of {datetime.fromtimestamp(last['run_time']):%d %b %H:%M:%S}" if "run_time" in last else ""
    return f"{run_text(last)}{when}: {Result.of('', {'raw_uid': '', **last}, ()).verdict()}"
