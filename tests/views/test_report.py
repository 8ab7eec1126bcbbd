"""The report of a campaign is complete, and its file loads nothing and runs nothing."""

import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from test_terminal_text import HOSTILE
from typer.testing import CliRunner

import ainerd.cli
from ainerd.results import AtlasRecord, ResultRecord, ResultStore, SuggestionRecord
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd.views import Report, Section, read_handover, read_report, report_html, report_markdown, write_report


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
                **({"tau_s_or": 0.55, "tau_s_or_err": 0.02} if i else {}),
            },
            units={"tau_s": "s"},
            calibration={"alpha": 0.05, "id": "bank", "n": 9},
        )
        store.complete(keys[-1], analysis, **({"own_p": 0.25} if i == 4 else {}))
    labels = {keys[0]: 0, keys[1]: 1, keys[2]: 0, keys[4]: 0}
    scoped = ResultStore(client["ainerd"], agent="night", digest=store.record(keys[0]).digest)
    scoped.add_atlas(AtlasRecord(n_regimes=2, supported_range=(1, 3), labels=labels))
    scoped.log("a person rejected (3.00, 2.00): too near the wall", by="person")
    scoped.log("Ada (unverified) took (1.00, 2.00)", by="Ada (unverified)")
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


def test_the_report_of_a_night(campaign, tmp_path):
    _, store = campaign
    report = read_report(store, {"sample_x": (0.0, 10.0), "sample_y": (0.0, 10.0)})
    text = text_of(write_report(report, tmp_path / "r.html").read_text())
    for part in (
        "Campaign of night",
        "6 results: 4 complete, 2 failed.",
        "2 regimes; it may be 1 to 3.",
        "1 of 4 results with a p-value are novel; chance alone gives about 0.2.",
        "scan 2 at sample_x 1.50 mm, sample_y 2.00: novel: 1 in 100 exposures of known behaviour would look as strange",
        "a person rejected (3.00, 2.00): too near the wall",
        "1 × our mistake",
        "Measure at sample_x 8.00 mm, sample_y 1.00 next: boundary.",
        "Measure scan 2 at sample_x 1.50 mm, sample_y 2.00 again: it is novel, and was measured only once.",
        "Start the agent: it takes 1 result again",
        "0.2 ± 0.01",
        "0.55 ± 0.02",  # fits as well
        "own p: how often an exposure of the nearest kind of the session would lie as far from the others of it.",
        "[red]markup[/]",
        "<script>alert(1)</script>",
    ):
        assert part in text, part
    figures = re.findall(r'<img alt="([^"]*)"', (tmp_path / "r.html").read_text())
    assert len(figures) == 2 and figures[1] == "scan 2 at sample_x 1.50 mm, sample_y 2.00"


def test_names_of_people_and_confirmations_are_in_the_handover(campaign, monkeypatch):
    _, store = campaign
    table = store.table()
    table["regime"] = table["regime"].where(table["novelty_p"].ne(table["novelty_p"].min()), 0)  # others show it too
    monkeypatch.setattr(store, "table", lambda: table)
    monkeypatch.setattr("ainerd.views._report.read_agent", lambda *_: {"names": {"0": "gel"}})
    text = report_markdown(read_handover(store, 1e6))
    assert "Regime 0 (gel), first in scan 1" in text and "measured only once" not in text


def test_results_of_events_and_without_explanation_are_reported(campaign, monkeypatch):
    _, store = campaign
    read = store.table

    def of_events():
        table = read()
        table["event"] = table["event"].where(table["scan_id"].ne(2), 2)
        return table

    monkeypatch.setattr(store, "table", of_events)
    monkeypatch.setattr("ainerd.views._report.explain", lambda record: {}["alpha"])
    (novel,) = [part for part in read_report(store).sections if part.title.startswith("Novel results")]
    assert novel.lines == ["scan 2.2 at sample_x 1.50 mm, sample_y 2.00: novel, and cannot be explained."]


def test_texts_are_escaped():
    evil = '"><img src=x onerror=alert(1)>\x1b[2J&lt;'
    section = Section(title=evil, lines=[evil], table=[[evil], [evil]])
    html = report_html(Report(title=evil, subtitle=evil, sections=[section]))
    assert text_of(html).count('"><img src=x onerror=alert(1)>�[2J&lt;') == 7
    assert "default-src 'none'" in html


def test_the_command_writes_the_report(campaign, server, tmp_path, monkeypatch):
    client, _ = campaign
    monkeypatch.setenv("AINERD_STORAGE__API_KEY", server.api_key)

    def run(*arguments):
        return CliRunner().invoke(ainerd.cli.app, ["report", *map(str, arguments), "--tiled", client.uri])

    out = tmp_path / "new" / "night.html"
    assert run(out).exit_code == 0 and "Campaign of night" in out.read_text()
    assert "exists: give another name, or --force" in str(run(out).exception)
    assert "agent 'day' has no results; there are those of night" in str(
        run(out, "--force", "--agent", "day").exception
    )
    assert "ends in .html; a browser" in str(run(tmp_path / "r.pdf").exception)


def test_the_next_shift_learns_what_ran_what_is_new_and_what_waits(campaign, server, tmp_path, monkeypatch):
    client, store = campaign
    state = {"held": {"by": "Ada", "why": "sample | change"}, "review": True}
    monkeypatch.setattr("ainerd.views._report.read_agent", lambda container, agent: state)
    hours = (time.time() - 1.7e9) / 3600  # until the first result
    ran, new, decided, waits = read_handover(store, hours + 1).sections
    assert ran.lines[0] == "6 runs, 6 results: 4 complete, 2 failed." and len(ran.table) == 7
    assert new.lines == [
        "Regime 0, first in scan 1 at sample_x 0.00 mm, sample_y 2.00.",
        "Regime 1, first in scan 2 at sample_x 1.50 mm, sample_y 2.00.",
        "Novel: scan 2 at sample_x 1.50 mm, sample_y 2.00.",
    ]
    assert [row[1] for row in decided.table[1:]] == [
        "a person rejected (3.00, 2.00): too near the wall",
        "Ada (unverified) took (1.00, 2.00)",
    ]
    assert waits.lines[0] == "The campaign is held by Ada: sample | change." and "boundary" in waits.lines[2]
    late = read_handover(store, hours - 3.5 / 60).sections  # since the fifth result
    assert [row[0] for row in late[0].table[1:]] == ["5", "6"] and late[1].lines == ["Nothing."]
    assert read_handover(store, 0.0).sections[0].lines == ["Nothing was measured."]
    monkeypatch.setenv("AINERD_STORAGE__API_KEY", server.api_key)
    done = CliRunner().invoke(ainerd.cli.app, ["handover", "--hours", str(hours + 1), "--tiled", client.uri])
    assert done.exit_code == 0, done.output
    assert "# Hand-over of night\n" in done.output and "\n## Open tasks\n" in done.output
    assert "sample \\| change" in done.output and "<script>" not in done.output
    assert len([line for line in done.output.splitlines() if line.startswith("| ")]) == 2 + 6 + 2 + 2


def test_markdown_is_taken_as_it_is():
    evil = "a|b *c* _d_ `e` [f](g) <img src=x>\n# h"
    text = report_markdown(Report(title=evil, subtitle=evil, sections=[Section(title=evil, table=[[evil], [evil]])]))
    plain = re.sub(r"\\(.)", r"\1", text)
    assert plain.count("a|b *c* _d_ `e` [f](g) <img src=x> # h") == 5
    assert not re.search(r"(?<!\\)[`*<\[]", text)
