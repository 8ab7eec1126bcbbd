"""`ainerd mcp`, called by the reference client of the protocol."""

import asyncio
import os
import sys
import uuid
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest
from mcp import Client, StdioServerParameters

from ainerd.results import AgentNode, ResultStore
from ainerd.server import open_catalog
from ainerd_mcp.answers import TOOLS, serving
from tests.results.conftest import make_analysis, make_record


def ask(server, *questions):
    """Answers of tools, each as (is_error, structured or text)."""

    async def run():
        async with Client(server) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            answers = [await client.call_tool(name, arguments) for name, arguments in questions]
            return names, [(a.is_error, a.content[0].text if a.is_error else a.structured_content) for a in answers]

    return asyncio.run(run())


@pytest.fixture(scope="module")
def catalogue(server):
    """A store with three results, one of them without a claim; their keys, and the address of the server."""
    client = server.client().create_container(f"mcp-{uuid.uuid4().hex[:8]}")
    _, ainerd = open_catalog(client)
    own, keys = ResultStore(ainerd, agent="toy"), []
    for i, p in enumerate([0.4, 0.01, None]):
        fields = {"technique": "toy", "agent": "toy", "positions": {"x": float(i)}, "units": {"x": "mm"}}
        keys.append(own.begin(make_record(scan_id=i, run_time=1.7e9 + i, **fields)))
        analysis = make_analysis(novelty_p=p, embedding=[i, 0], tau_s=1.0 + i, only=["tau"])
        summary = {"tau_s_err": 0.3} | ({} if p else {"no_claim": "too few counts"})
        own.complete(keys[i], analysis, regime=0, summary=summary)
    own.log("hello", result=keys[1])
    AgentNode(ainerd, "toy").open()
    AgentNode(ainerd, "toy").write_state(
        {"bounds": {"x": [0.0, 5.0]}, "health": {"backlog": 3, "heard": 1.7e9}, "names": {"0": "gel"}}
    )
    return ResultStore(ainerd), keys


def test_each_answer_names_its_results(catalogue):
    store, keys = catalogue
    names, answers = ask(
        serving(store),
        ("results", {}),
        ("search", {"novel": True, "where": {"x": [0, None]}}),
        ("explain", {"run": "2"}),
        ("similar", {"run": keys[0][:8], "n": 1}),
        ("compare", {"first": "0", "second": "1"}),
        ("log", {}),
        ("next_suggestion", {}),
        ("status", {}),
    )
    assert names == [*TOOLS] and not any(wrong for wrong, _ in answers)
    results, search, explain, similar, compare, log, following, status = (answer for _, answer in answers)
    assert [row["scan"] for row in results["results"]] == ["2", "1", "0"] and results["rests_on"] == keys[::-1]
    assert [row["verdict"] for row in results["results"]] == ["no p-value", "novel", "not novel"]
    assert results["results"][0]["p"] is None and results["results"][0]["position"] == {"x": 2.0}
    assert search["rests_on"] == [keys[1]] and search["results"][0]["p"] == 0.01
    assert explain["explanation"] == store.explain(keys[2]) and explain["verdict"] == "no p-value"
    assert explain["rests_on"] == [keys[2]] and explain["no_claim"] == "too few counts"
    assert similar["rests_on"] == [keys[0], keys[1]] and similar["results"][0]["distance"] == 1.0
    tau = compare["numbers"]["tau_s"]
    assert tau["difference_in_errors"] == pytest.approx(-1 / np.hypot(0.3, 0.3)) and compare["distance"] == 1.0
    assert compare["rests_on"] == keys[:2]
    assert log["lines"][-1].endswith("hello") and log["rests_on"] == [keys[1]]
    assert following == {"suggestion": None, "rests_on": []}
    assert status["novelty"] == {"results_with_p": 2, "called_novel": 1, "without_p": 1}
    reported = datetime.fromtimestamp(1.7e9, UTC).isoformat()
    toy = status["agents"]["toy"]
    assert toy["health"] == {"backlog": 3, "heard": reported} and toy["bound"] == "none: no regime is called new"
    assert status["regime_names"] == {"toy: 0": "gel"}
    assert {row["regime_name"] for row in results["results"]} == {explain["regime_name"]} == {"gel"}
    assert datetime.fromisoformat(results["results"][0]["time"]).timestamp() == 1.7e9 + 2


def test_bad_questions_get_a_line(catalogue):
    store, _ = catalogue
    questions = [
        ("explain", {}),
        ("similar", {"run": "0", "n": 10_000}),
        ("similar", {"run": "0", "n": "many"}),
        ("compare", {"first": "0", "second": "nothing"}),
        ("search", {"where": {"tau": [0, 1]}}),
        ("search", {"regimes": 1}),
    ]
    _, answers = ask(serving(store), *questions)
    for question, (wrong, answer) in zip(questions, answers, strict=True):
        assert wrong and "Traceback" not in answer and len(answer) < 700 and "\n" not in answer, question
    answered = [answer for _, answer in answers]
    assert "n: Input should be a valid integer" in answered[2] and "pydantic" not in answered[2]
    assert "results have no number tau: there are scan_id" in answered[-2] and "tau_s" in answered[-2]
    assert answered[-1].startswith("search has no argument regimes: there are text, regime, ")


def test_a_position_is_asked_for_only_with_an_option(catalogue):
    store, _ = catalogue
    assert "propose" not in ask(serving(store))[0]
    names, answers = ask(
        serving(store, propose=True),
        ("propose", {"position": {"x": 9.0}, "reason": "why not"}),
        ("propose", {"position": {"x": 1.0}, "reason": " "}),
        ("propose", {"position": {"x": 1.0}, "reason": "why not", "agent": "nobody"}),
        ("propose", {"position": {"x": 1.0}, "reason": "between the two"}),
    )
    assert "propose" in names and [wrong for wrong, _ in answers] == [True, True, True, False]
    (((_, key), command),) = AgentNode(store.container, "toy").commands()
    assert key == answers[-1][1]["id"] and command["do"] == "add"
    assert (command["by"], command["position"]) == ("ainerd mcp", {"x": 1.0})


@pytest.mark.fault("Tiled does not answer while a program calls `ainerd mcp`", "Each tool reports it in one line")
def test_tiled_away(catalogue, monkeypatch):
    store, _ = catalogue

    def refuse(*args, **kwargs):
        raise httpx.ConnectError("nobody is there")

    monkeypatch.setattr(store.container.context.http_client, "get", refuse)
    _, answers = ask(serving(store, propose=True), *((name, {}) for name in ("results", "log", "status")))
    assert all(wrong and "Tiled does not answer" in answer for wrong, answer in answers)


def test_the_command_speaks_on_stdin_and_stdout(server, catalogue):
    root = server.client()
    open_catalog(root)
    command = [sys.executable, "-m", "ainerd", "mcp", "--tiled", str(server.directory)]
    started = StdioServerParameters(command=command[0], args=command[1:], env={**os.environ})
    names, ((wrong, status),) = ask(started, ("status", {}))
    assert names == [*TOOLS] and not wrong and "novelty" in status
