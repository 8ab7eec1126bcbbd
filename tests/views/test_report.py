"""The report of a campaign is complete, and its file loads nothing and runs nothing."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from test_terminal_text import HOSTILE
from typer.testing import CliRunner

import ainerd.cli
from ainerd.results import AtlasRecord, ResultRecord, ResultStore, SuggestionRecord
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd.views import _report, report_html


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
            summary={
                "tau_s": 0.1 * (i + 1),
                "tau_s_err": 0.01,
            },
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
        "2 regimes; it may be 1 to 3.",
        "1 of 4 results with a p-value are novel; chance alone gives about 0.2.",
        "scan 2 at sample_x 1.50 mm, sample_y 2.00: novel: 1 in 100 exposures of known behaviour would look as unusual",
        "a person rejected (3.00, 2.00): too near the wall",
        "1 × our mistake",
        "Measure at sample_x 8.00 mm, sample_y 1.00 next: boundary.",
        "0.1 to 0.5",  # tau of a regime
        "0.01 ●",
        "[red]markup[/]",
        "<script>alert(1)</script>",
    ):
        assert part in text, part
    figures = re.findall(r'<img alt="([^"]*)"', html)
    assert len(figures) == 2 and figures[1] == "scan 2 at sample_x 1.50 mm, sample_y 2.00"


def test_a_newest_result_without_a_claim_leaves_the_level_of_the_others(campaign, monkeypatch):
    _, store = campaign
    table, scenes = store.table(), []
    table.loc[table.index[-2], "novelty_p"] = np.nan
    read = store.record

    def record(key):
        found = read(key)
        return found.model_copy(update={"calibration": {}}) if key == table.index[-2] else found

    monkeypatch.setattr(store, "table", lambda: table)
    monkeypatch.setattr(store, "record", record)
    monkeypatch.setattr(_report, "campaign_figure", lambda scene: scenes.append(scene) or Figure())
    assert "1 of 3 results with a p-value are novel; chance alone gives about 0.2" in text_of(report_html(store))
    assert scenes[0].alpha == 0.05


def test_names_of_people_are_in_the_report(campaign, monkeypatch):
    _, store = campaign
    monkeypatch.setattr("ainerd.results.AgentNode.state", lambda node: {"names": {"0": "gel"}})
    monkeypatch.setattr("ainerd.views._report.campaign_figure", lambda scene: Figure())
    text = text_of(report_html(store))
    assert "0 (gel)" in text


def test_rows_that_are_left_out_are_counted(campaign, monkeypatch):
    _, store = campaign
    table = store.table()
    monkeypatch.setattr(_report, "MOST", 1)
    monkeypatch.setattr(_report, "DRAWN", 1)
    monkeypatch.setattr(store, "table", lambda: table)
    table["novel"] = table["novelty_p"].lt(0.45)
    text = text_of(report_html(store))
    assert "The 1 of 2 that have the lowest p-values." in text and "The newest 1 of 2." in text
    assert "Ada took" in text and "a person rejected" not in text
    table["novel"] = False
    assert "The newest result of each regime is drawn, for the 1 regimes seen last." in text_of(report_html(store))


def test_the_command_writes_the_report(campaign, server, tmp_path, monkeypatch):
    client, _ = campaign
    monkeypatch.setenv("AINERD_STORAGE__API_KEY", server.api_key)

    def run(*arguments):
        return CliRunner().invoke(ainerd.cli.app, ["report", *map(str, arguments), "--tiled", client.uri])

    out = tmp_path / "new" / "night.html"
    assert run(out).exit_code == 0 and "Campaign of night" in out.read_text()
    assert "exists: give another name, or --force" in str(run(out).exception)
    assert "day has no results; there are those of night" in str(run(out, "--force", "--agent", "day").exception)
    assert "ends in .html; a browser" in str(run(tmp_path / "r.pdf").exception)


def test_a_suggestion_that_waits_for_a_person_is_a_next_step(campaign, monkeypatch):
    _, store = campaign
    state = {"held": {"by": "Ada", "why": "sample | change"}, "review": True}
    monkeypatch.setattr("ainerd.results.AgentNode.state", lambda node: state)
    _, _, steps = report_html(store).partition("<h2>Next steps</h2>")
    assert (
        steps.strip().startswith("<ul><li>The campaign is held by Ada: sample | change.</li>") and "boundary" in steps
    )
