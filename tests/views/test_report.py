"""The report of a campaign is complete, and its file loads nothing and runs nothing."""

from html.parser import HTMLParser

import numpy as np
import pytest
from test_terminal_text import HOSTILE
from typer.testing import CliRunner

import ainerd.cli
from ainerd.results import AgentNode, AtlasRecord, ResultRecord, ResultStore, SuggestionRecord
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd.views import report_html


@pytest.fixture(scope="module")
def campaign(server):
    """Six results: one novel, one failed for good, one through our fault; notes of people, and the next position."""
    client = server.client().create_container("report")
    store = ResultStore(open_catalog(client)[1], agent="night")
    keys = []
    for i, p in enumerate((0.5, 0.01, 0.7, None, 0.4, None)):
        record = ResultRecord(
            raw_uid=f"run-{i}", scan_id=i + 1, run_time=1.7e9 + 60 * i, technique="nobodys", agent="night",
            parameters={"k": 3}, positions={"sample_x": 1.5 * i, "sample_y": 2.0}, units={"sample_x": "mm"},
        )  # fmt: skip
        keys.append(store.begin(record))
        if p is None:
            store.fail(keys[-1], HOSTILE if i == 3 else "our mistake", **({"retake": True} if i == 5 else {}))
            continue
        analysis = Analysis(
            embedding=np.array([i, 1.0], np.float32),
            novelty_p=p,
            arrays={"map": np.full((4, 4), float(i))},
            summary={"tau_s": 0.1 * (i + 1), "tau_s_err": 0.01},
            units={"tau_s": "s"},
            calibration={"alpha": 0.05, "id": "bank", "n": 9},
        )
        store.complete(keys[-1], analysis, **({"own_p": 0.25} if i == 4 else {}))
    labels = {keys[0]: 0, keys[1]: 1, keys[2]: 0, keys[4]: 0}
    scoped = ResultStore(client["ainerd"], agent="night", digest=store.record(keys[0]).digest)
    scoped.add_atlas(AtlasRecord(n_regimes=2, supported_range=(1, 3), labels=labels))
    scoped.log("a person rejected (3.00, 2.00): too near the wall", by="person")
    scoped.log("Ada took (1.00, 2.00)", by="Ada")
    scoped.log("the agent itself mentions a person")
    scoped.add_suggestion(
        SuggestionRecord(id="next", agent="night", positions={"sample_x": 8.0, "sample_y": 1.0}, reason="boundary")
    )
    return client, scoped


def text_of(html):
    data_read = []

    class Text(HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert tag not in ("script", "iframe", "link", "object") and not any(
                n.startswith("on") for n, _ in attributes
            )
            assert all(v.startswith("data:image/png") for n, v in attributes if n in ("src", "href"))

        def handle_data(self, data):
            data_read.append(data)

    Text().feed(html)
    return " ".join(data_read)


def test_the_report_of_a_night(campaign):
    _, store = campaign
    html = report_html(store, {"sample_x": (0.0, 10.0), "sample_y": (0.0, 10.0)})
    text = text_of(html)
    for part in (
        "Campaign of night",
        "6 results: 4 complete, 2 failed.",
        "a person rejected (3.00, 2.00): too near the wall",
        "the agent itself mentions a person",
        "our mistake",
        "0.01 ●",
        "[red]markup[/]",
        "<script>alert(1)</script>",
    ):
        assert part in text, part
    assert html.count("<img ") == 1 and html.count("<tr") == 2 + len(store.table()) + len(store.logbook())


def test_what_the_agent_knows_is_in_the_report(campaign):
    client, store = campaign
    node = AgentNode(client["ainerd"], "night")
    node.open()
    node.write_state(
        {
            "names": {"0": "gel"}, "held": {"by": "Ada", "why": "sample | change"},
            "regimes": {"sentences": ["regime 0: 3 results"]}, "novelty": {"alarm": "two failures in a row"},
        }
    )  # fmt: skip
    html = report_html(store)
    for line in ("Regime 0: 3 results.", "Two failures in a row.", "The campaign is held by Ada: sample | change."):
        assert f"<li>{line}</li>" in html


def test_the_command_writes_the_report(campaign, server, tmp_path):
    (client, _), runner = campaign, CliRunner(env={"AINERD_STORAGE__API_KEY": server.api_key})

    def run(*arguments):
        return runner.invoke(ainerd.cli.app, ["report", *map(str, arguments), "--tiled", client.uri])

    out = tmp_path / "new" / "night.html"
    assert run(out).exit_code == 0 and "Campaign of night" in out.read_text()
    assert "exists: give another name, or --force" in str(run(out).exception)
    assert "day has no results; there are those of night" in str(run(out, "--force", "--agent", "day").exception)
    assert "ends in .html; a browser" in str(run(tmp_path / "r.pdf").exception)
