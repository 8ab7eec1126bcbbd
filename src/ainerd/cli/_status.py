"""`ainerd status` and `ainerd log`: print the state and the log of an agent. The agent does not notice."""

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli._shared import KEY, Config, Json, Tiled, opened

if TYPE_CHECKING:
    from tiled.client.container import Container

    from ainerd.config import Settings

ANSWER_S = 0.7  # a slower server counts as unreachable
READ_S = 10.0
POLL_S = 1.0


def status(tiled: Tiled = None, config: Config = None, json: Json = False) -> None:
    """Print the state of an agent: server, runs in progress and waiting, results, last result, next position.

    The command starts nothing. It answers within one or two seconds, even if Tiled cannot be reached.
    """
    from ainerd.config import Settings

    if tiled is None and config is None:
        raise ValueError("name the agent: give --config with an instrument's .toml, or --tiled URL")
    settings = None if config is None else Settings.load(config)
    state: dict[str, Any] = {}
    if settings is not None:
        state |= _on_disk(settings)
    state |= _on_server(tiled, settings)
    if json:
        import json as as_json

        print(as_json.dumps(state))
    else:
        _show(state)


def log(
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many lines.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="And those that come, until Ctrl-C.")] = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Print the log of the agents in local time, newest line last."""
    import time

    from rich.console import Console
    from rich.text import Text

    from ainerd.cli._shared import store_of
    from ainerd.words import here, printable

    console = Console(soft_wrap=True)
    with opened(tiled, config) as client:
        store, shown = store_of(client), 0
        try:
            while True:
                lines = store.logbook()
                for _, line in lines.iloc[max(shown, len(lines) - n) if not shown else shown :].iterrows():
                    when = here(line["created"])
                    console.print(Text(f"{when:%Y-%m-%d %H:%M:%S}  ", "dim"), Text(printable(line["text"])), sep="")
                shown = len(lines)
                if not follow:
                    break
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            pass
    if not shown:
        console.print("nothing is noted yet")


def _on_disk(settings: "Settings") -> dict[str, Any]:
    """Return the part of the state that is on disk, without a server."""
    from ainerd.cli._waiting import waiting
    from ainerd.server import at_work

    backup = settings.storage.directory / "unwritten"
    return {"agent": settings.name, "at_work": at_work(backup, settings.name), **waiting(backup)}


def _on_server(tiled: str | None, settings: "Settings | None") -> dict[str, Any]:
    """Return the address of the server and a summary of its content, or the reason why the summary is missing."""
    from concurrent.futures import ThreadPoolExecutor
    from concurrent.futures import TimeoutError as TookTooLong

    from ainerd.server import ServerError, connect, running

    storage = None if settings is None else settings.storage
    uri = tiled or (storage.uri if storage else "")
    key: str | None = os.environ.get(KEY) or None
    directory = Path(uri) if uri and Path(uri).is_dir() else None
    if not uri and storage is not None:
        directory = storage.directory
    if directory is not None:
        found = running(directory)
        if found is None:
            hint = "a session starts it, or ainerd serve"
            return {"tiled": None, "away": f"the embedded server of {directory} is not running: {hint}"}
        uri, key = found
    try:
        client = connect(uri, key, timeout_s=ANSWER_S)
    except ServerError as error:
        return {"tiled": uri.partition("?")[0], "away": str(error)}
    pool = ThreadPoolExecutor(1)
    try:
        about = pool.submit(_read, client, None if settings is None else settings.name).result(READ_S)
    except TookTooLong:
        about = {"away": f"it takes longer than {READ_S:g} s to answer"}
    except Exception as error:  # any error: the rest is still printed
        about = {"away": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        client.context.http_client.close()
    return {"tiled": uri.partition("?")[0], **about}


def _read(client: "Container", agent: str | None) -> dict[str, Any]:
    """Read the state from a catalog of any size with a few requests.

    The requests avoid Tiled's clients for runs and arrays, which take seconds to import.
    """
    from json import dumps

    base, http = client.item["links"]["search"].rstrip("/"), client.context.http_client

    def get(url: str, **params: Any) -> dict[str, Any]:
        return http.get(url, params=params, timeout=READ_S).raise_for_status().json()

    def equal(**values: str | None) -> dict[str, Any]:
        given = {key: dumps(value) for key, value in values.items() if value is not None}
        return {"filter[eq][condition][key]": [*given], "filter[eq][condition][value]": [*given.values()]}

    def newest(path: str, **values: str | None) -> dict[str, Any] | None:
        wanted = {"fields": "metadata", "omit_links": True, "sort": "-", "page[limit]": 1}
        found = get(f"{base}/{path}", **wanted, **equal(**values))["data"]
        return found[0]["attributes"]["metadata"] if found else None

    one = {"fields": "", "page[limit]": 1}
    if get(base, **one, **{"filter[lookup][condition][key]": "ainerd"})["meta"]["count"] == 0:
        return {"away": "no agent has written there yet"}
    ended = {"filter[keypresent][condition][key]": "stop.uid", "filter[keypresent][condition][exists]": "true"}
    runs, n_ended = (get(f"{base}/raw", **one, **which)["meta"]["count"] for which in ({}, ended))
    by_status = f"{base}/ainerd/results".replace("/search/", "/distinct/", 1)
    counted = get(by_status, metadata="status", counts=True, **equal(agent=agent))["metadata"]["status"] or []
    last = newest("ainerd/results", agent=agent)
    ready = newest("ainerd/suggestions", status="proposed", agent=agent)
    names = ("scan_id", "event", "run_time", "status", "regime", "novelty_p", "novel", "reason")
    following = None
    if ready is not None:
        units = (last or {}).get("units") or {}
        following = {"position": {name: ready[name] for name in ready["positions"]}, "reason": ready["reason"]}
        following["units"] = {name: units[name] for name in ready["positions"] if name in units}
    return {
        "runs": runs,
        "runs_unfinished": runs - n_ended,
        "results": {str(each["value"]): int(each["count"]) for each in counted},
        "last": last and {name: last[name] for name in names if last.get(name) is not None},
        "next": following,
    }


def _show(state: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    for name, text, style in _lines(state):
        lines.add_row(name, Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text), style))
    Console().print(lines)


def _lines(state: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the name, text and style of each line."""
    from ainerd.server import process_text
    from ainerd.words import named_place

    lines = []
    if "agent" in state:
        who = state["at_work"]
        at_work = "not at work on this machine" if who is None else f"at work{process_text(who)}"
        lines.append(("agent", f"{state['agent']}: {at_work}", ""))
    if state["tiled"]:
        lines.append(("tiled", state["tiled"], ""))
    if "away" in state:
        lines.append(("", state["away"], "yellow"))
    if "agent" in state:
        waits = {
            "going on": state["going_on"],
            "left by a session that was killed": state["left"],
            "kept for Tiled": state["raw_kept"],
            "to be analysed when Tiled is back": state["spooled"],
            "set aside as unreadable": state["set_aside"],
        }
        on_disk = ", ".join(f"{n} {what}" for what, n in waits.items() if n) or "none going on, none waits"
        waiting = any(n for what, n in waits.items() if what != "going on")
        lines.append(("runs here", on_disk, "yellow" if waiting else ""))
    if "results" in state:
        unfinished = f", {state['runs_unfinished']} without an end" if state["runs_unfinished"] else ""
        lines.append(("runs in Tiled", f"{state['runs']}{unfinished}", ""))
        by_status = ", ".join(f"{n} {status}" for status, n in sorted(state["results"].items())) or "none yet"
        lines.append(("results", by_status, ""))
        lines.append(("last", _result(state["last"]), ""))
        if state["next"] is None:
            lines.append(("next", "no suggestion waits", ""))
        else:
            place = named_place(state["next"]["position"], state["next"]["units"])
            lines.append(("next", f"{place}: {state['next']['reason']}", "cyan"))
    return lines


def _result(last: dict[str, Any] | None) -> str:
    if last is None:
        return "none yet"
    from ainerd.results import scan_text

    when = f" of {datetime.fromtimestamp(last['run_time']):%d %b %H:%M:%S}" if "run_time" in last else ""
    p = f", p = {last['novelty_p']:.2g}" if "novelty_p" in last else ""
    regime = f", regime {last['regime']}" if last.get("regime", -1) >= 0 else ""
    novel = ", novel" if last.get("novel") else ""
    reason = f": {last['reason']}" if "reason" in last else ""
    return f"scan {scan_text(last.get('scan_id'), last.get('event'))}{when}: {last['status']}{regime}{p}{novel}{reason}"
