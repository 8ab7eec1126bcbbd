"""The routes of the pages on an embedded server: their answers, writes and refusals."""

import gzip
import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from ainerd.decisions import events
from ainerd.results import (
    AgentNode,
    AtlasRecord,
    Columns,
    ResultRecord,
    ResultStore,
    SuggestionRecord,
    commands,
    digest,
)
from ainerd.server import open_catalog
from ainerd.server.pages import ui_settings
from ainerd.server.pages._reader import NodeRows
from ainerd.technique import Analysis

PARAMETERS = {"size": 8}
JSON = {"Content-Type": "application/json"}
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)> javascript:alert(1)"
STATE = {
    "technique": "rheo_xpcs",
    "alpha": 0.05,
    "bounds": {"sample_x": [0.0, 10.0], "sample_y": [0.0, 10.0]},
    "units": {"sample_x": "mm"},
    "excluded": [],
    "belief": {"version": 1, "x": [0.0, 10.0], "y": [0.0], "regime": [[0, 1]], "confidence": [[0.5, 0.25]]},
    "latent": {"version": "a", "middle": [0.0] * 4, "directions": [[1.0, 0, 0, 0], [0, 0, 1.0, 0]], "of": "landmarks"},
    "health": {"every_s": 5.0, "backlog": 2, "worker": "alive"},
}


class Catalogue:
    """A container with nodes as an agent writes them, and requests to its pages."""

    def __init__(self, server):
        self.name = f"pages-{uuid.uuid4().hex[:8]}"
        _, self.ainerd = open_catalog(server.client().create_container(self.name))
        self.store = ResultStore(self.ainerd, agent="toy")
        self.node = AgentNode(self.ainerd, "toy")
        self.node.open()
        self.node.write_state(STATE)
        self.base = server.uri.removesuffix("/api/v1")
        self.key = server.api_key
        self.http = httpx.Client(trust_env=False, timeout=30, headers={"Authorization": f"Apikey {self.key}"})

    def result(self, i, *, p=0.4, seed=None, **changes):
        fields = {
            "raw_uid": str(uuid.uuid4()), "scan_id": i, "run_time": 1.7e9 + i, "technique": "rheo_xpcs", "agent": "toy",
            "parameters": PARAMETERS, "positions": {"sample_x": float(i), "sample_y": 1.0}, "n_frames": 10,
            "frame_time_s": 0.5, "units": {"sample_x": "mm", "tau_s": "s"},
        }  # fmt: skip
        record = ResultRecord(**fields | changes)
        self.store.begin(record)
        z = np.random.default_rng(i if seed is None else seed).normal(size=4).astype(np.float32)
        analysis = Analysis(
            embedding=z,
            novelty_p=p,
            arrays={"c2": np.ones((2, 3, 3), np.float32)},
            dims={"c2": ("roi", "t1", "t2")},
            summary={"tau_s": 1.0 + i},
            units={"tau_s": "s"},
            model={},
            calibration={"id": "bank", "n": 500, "alpha": 0.05},
        )
        self.store.complete(record.key, analysis, regime=0)
        return record.key, z

    def suggestion(self, **changes):
        fields = {"agent": "toy", "positions": {"sample_x": 1.0, "sample_y": 2.0}, "reason": "why not"}
        return self.store.add_suggestion(SuggestionRecord(**fields | changes))

    def url(self, route, below=""):
        return f"{self.base}/custom/ainerd/{route}/{self.name}/ainerd{below}"

    def get(self, route, below="", **params):
        answer = self.http.get(self.url(route, below), params=params)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, route, body, http=None, **headers):
        return (http or self.http).post(self.url(route), json=body, headers=headers)

    def command(self, do, **more):
        """A command; a verdict is on the suggestion that the page shows now."""
        if "suggestion" in more:
            shown = {each["id"]: each["seen"] for each in self.get("campaign")["suggestions"]}
            more = {"seen": shown.get(more["suggestion"], ""), **more}
        return self.post("command", {"do": do, "agent": "toy", "who": "Ann", **more})


@pytest.fixture(scope="module")
def catalogue(server):
    """Return a function that creates catalogs."""
    made = []

    def make():
        made.append(Catalogue(server))
        return made[-1]

    yield make
    for each in made:
        each.http.close()


@pytest.fixture(scope="module")
def pages(catalogue):
    return catalogue()


@pytest.fixture(scope="module")
def filled(pages):
    """Add five results, an atlas and a log line."""
    made = [pages.result(i, p=0.01 if i == 3 else 0.4) for i in range(5)]
    pages.store.add_atlas(
        AtlasRecord(n_regimes=2, supported_range=(1, 3), labels={key: int(i > 2) for i, (key, _) in enumerate(made)})
    )
    pages.store.log("hello")
    return pages, made


def test_static_files_are_compressed_with_an_etag_and_stay_in_their_folder(pages):
    plotly = f"{pages.base}/custom/ainerd/static/plotly.min.js"
    with httpx.Client(trust_env=False) as http:  # without a key
        with http.stream("GET", plotly, headers={"Accept-Encoding": "gzip"}) as answer:
            packed, headers = b"".join(answer.iter_raw()), answer.headers
        script = gzip.decompress(packed).decode()
        assert headers["content-encoding"] == "gzip" and script.startswith("/**\n* plotly.js (cartesian - minified) v4")
        again = http.get(plotly, headers={"If-None-Match": headers["etag"]})
        assert again.status_code == 304 and not again.content
        views = http.get(f"{pages.base}/custom/ainerd/static/views.js")
        assert (
            views.headers["content-type"].startswith("text/javascript") and "no-cache" in views.headers["cache-control"]
        )
        for path in ("..%2f_ui.py", "%2e%2e/_ui.py", ".hidden", "nothing.js", "a%00.js"):
            assert http.get(f"{pages.base}/custom/ainerd/static/{path}").status_code in (404, 401)
        ui = http.get(f"{pages.base}/tiled-ui-settings").json()
    assert ui == ui_settings() and {view["spec"] for view in ui["spec_views"]} >= {"AinerdCampaign", "AinerdResult"}
    assert pages.ainerd.specs[0].name == "AinerdCampaign" and pages.ainerd["results"].specs[0].name == "AinerdResults"


def test_a_technique_provides_a_view(pages):
    answer = pages.http.get(f"{pages.base}/custom/ainerd/technique/xtec/view.js")
    assert answer.is_success and '__AINERD_TECHNIQUES__ ||= {})["xtec"]' in answer.text
    assert "http://" not in answer.text and "https://" not in answer.text
    assert pages.http.get(f"{pages.base}/custom/ainerd/technique/nothing/view.js").status_code == 404


def test_the_campaign_route_equals_the_store(filled):
    pages, made = filled
    answer = pages.get("campaign")
    table = pages.store.table()
    assert answer["agent"] == "toy" and answer["whole"] and answer["results"]["n"] == len(table) == len(made)
    results = answer["results"]
    assert results["key"] == list(table.index) and results["scan"] == [str(i) for i in table["scan_id"]]
    np.testing.assert_allclose(results["x"], table["sample_x"])
    np.testing.assert_allclose(results["of"]["tau_s"], table["tau_s"])
    np.testing.assert_allclose(results["p"], table["novelty_p"])
    np.testing.assert_allclose(np.column_stack([results["u"], results["v"]]), [z[[0, 2]] for _, z in made], rtol=1e-6)
    assert answer["regimes"]["label"] == table["regime"].tolist() and results["novel"] == [0, 0, 0, 1, 0]
    assert answer["novelty"]["expected_false"] == pytest.approx(0.05 * 5) and answer["novelty"]["flagged"] == 1
    assert answer["sample"]["belief"] == STATE["belief"] and answer["sample"]["units"]["tau_s"] == "s"
    assert [line["text"] for line in answer["log"]["lines"]] == ["hello"]
    health = answer["health"]
    assert health["backlog"] == 2 and abs(health["heard"] - time.time()) < 3600 and health["run"] is None
    assert answer["views"] == {} or "rheo_xpcs" in answer["views"]


def test_a_cursor_returns_only_changes(filled):
    pages, made = filled
    first = pages.get("campaign")
    pages.node.write_state({**STATE, "explored": "not yet"})
    same = pages.get("campaign", since=first["cursor"])
    assert same["results"]["index"] == [] and not same["whole"] and same["log"]["lines"] == []
    assert same["health"]["explored"] == "not yet" and not {"regimes", "sample", "next", "commands"} & same.keys()
    pages.store.log("more")
    begun = ResultRecord(
        raw_uid=str(uuid.uuid4()), scan_id=99, run_time=1.8e9, technique="rheo_xpcs", agent="toy", parameters=PARAMETERS
    )
    pages.store.begin(begun)
    new = pages.get("campaign", since=same["cursor"])
    assert new["results"]["index"] == [len(made)] and new["results"]["status"] == ["computing"]
    assert [each["key"] for each in new["computing"]] == [begun.key] and len(new["regimes"]["label"]) == len(made) + 1
    assert [line["text"] for line in new["log"]["lines"]] == ["more"]
    pages.store.fail(begun.key, "no frames")
    failed = pages.get("campaign", since=new["cursor"])
    assert failed["results"]["index"] == [len(made)] and failed["results"]["status"] == ["failed"]
    pages.ainerd["results"].delete_contents(begun.key, recursive=True, external_only=False)
    pages.store.refresh()
    gone = pages.get("campaign", since=failed["cursor"])
    assert gone["whole"] and gone["results"]["n"] == len(made)
    for cursor in ("nonsense", "W10=", "eyJ2IjogIngifQ=="):
        assert pages.get("campaign", since=cursor)["whole"]


def test_other_motors_are_a_reason_to_send_all_results_again(catalogue):
    pages = catalogue()
    pages.result(3)
    first = pages.get("campaign")
    assert (first["results"]["x"], first["results"]["y"]) == ([3.0], [1.0])
    pages.node.write_state({**STATE, "bounds": dict(reversed(STATE["bounds"].items()))})
    turned = pages.get("campaign", since=first["cursor"])
    assert turned["sample"]["motors"] == ["sample_y", "sample_x"] and turned["whole"]
    assert (turned["results"]["x"], turned["results"]["y"]) == ([1.0], [3.0])


def test_no_change_gives_204_and_no_change_is_lost(catalogue):
    pages = catalogue()
    pages.result(1)
    cursor = ""

    def news():
        """Return the answers until there is no change; recent nodes are read twice."""
        nonlocal cursor
        answers = []
        while (answer := pages.http.get(pages.url("campaign"), params={"since": cursor})).status_code == 200:
            answers.append(answer.json())
            cursor = answers[-1]["cursor"]
        assert answer.status_code == 204 and not answer.content and len(answers) < 4
        return answers

    assert news() and not news()
    for i in range(20):  # many in one second, which is all that SQLite notes of the time
        pages.node.write_state({**STATE, "explored": f"number {i}"})
        assert [answer["health"]["explored"] for answer in news()][:1] == [f"number {i}"]
    assert not news()
    suggested = pages.suggestion()
    assert news()[0]["next"]["id"] == suggested
    pages.store.set_status(suggested, "rejected", "no")
    assert news()[0]["suggestions"][-1]["status"] == "rejected"
    pages.command("hold")
    assert news()[0]["held"]["pending"]
    (((_, key), _),) = pages.node.commands()
    pages.node.answer(key, "done", "no new suggestion is taken")
    assert news()[0]["commands"][0]["status"] == "done"
    pages.store.log("a line")
    assert news()[0]["log"]["lines"] and not news()


def test_a_change_that_another_request_read_first_is_still_sent(catalogue):
    pages = catalogue()
    pages.result(1)
    cursor = pages.get("campaign")["cursor"]
    while (answer := pages.http.get(pages.url("campaign"), params={"since": cursor})).status_code == 200:
        cursor = answer.json()["cursor"]
    uid = str(uuid.uuid4())
    begun = ResultRecord(
        raw_uid=uid, scan_id=2, run_time=1.8e9, technique="rheo_xpcs", agent="toy", parameters=PARAMETERS
    )
    pages.store.begin(begun)
    new = pages.get("campaign", since=cursor)
    assert new["results"]["status"] == ["computing"]
    key, _ = pages.result(2, raw_uid=uid)
    assert key == begun.key and pages.get("table", status="complete")["found"] == 2
    answer = pages.http.get(pages.url("campaign"), params={"since": new["cursor"]})
    assert answer.status_code == 200 and answer.json()["results"]["status"] == ["complete"]


def test_the_table_is_sorted_and_filtered(filled):
    pages, made = filled
    keys = [key for key, _ in made]
    assert pages.post("note", {"key": keys[1], "text": "a Bubble", "who": "Ann"}).json() == {"by": "Ann"}

    def shown(**params):
        answer = pages.get("table", **params)
        return [row["scan"] for row in answer["rows"]], answer["found"]

    assert shown(sort="scan", down=False, limit=2, offset=1) == (["1", "2"], 5)
    assert shown(sort="tau_s")[0] == ["4", "3", "2", "1", "0"] and shown(sort="p", down=False)[0][0] == "3"
    assert shown(novel=True) == (["3"], 1) and shown(regime=1) == (["4", "3"], 2)
    assert shown(filter="bubble complete") == (["1"], 1) and shown(status="failed")[1] == 0
    assert shown(keys=keys[:2], sort="scan") == (["1", "0"], 2)
    assert shown(sort="tau_s", filter="bubble", until=0) == ([], 0)  # at the beginning of a replay
    many = pages.post("table", {"keys": keys[:3] + ["?"] * 1500, "sort": "scan", "down": False})
    assert [row["scan"] for row in many.json()["rows"]] == ["0", "1", "2"]
    for wrong in ({"sort": "secret"}, {"limit": 10_000}, {"offset": -1}):
        assert pages.http.get(pages.url("table"), params=wrong).status_code == 422


def test_the_result_route_returns_all_but_the_arrays(filled):
    pages, made = filled
    key, z = made[3]
    answer = pages.get("result", f"/results/{key}")
    assert answer["explain"] == pages.store.explain(key) and answer["regime"] == 1 and "c2" not in answer["metadata"]
    about = answer["arrays"]["c2"]
    assert about["shape"] == [2, 3, 3] and about["dims"] == ["roi", "t1", "t2"] and about["dtype"] == "<f4"
    np.testing.assert_allclose(answer["coordinates"]["t1"]["values"], [5 / 6, 2.5, 25 / 6])
    similar = pages.store.similar(key, 4)
    assert [each["key"] for each in answer["nearest"]] == list(similar.index)
    np.testing.assert_allclose([each["distance"] for each in answer["nearest"]], similar["distance"], rtol=1e-5)
    assert pages.http.get(pages.url("result", "/results/nothing")).status_code == 404
    assert pages.http.get(pages.url("result", "/log")).status_code == 404


def test_the_replay_route_returns_the_labels_of_each_refit(filled):
    pages, made = filled
    first, *_ = pages.get("replay")["atlases"]
    assert first["label"] == {str(i): int(i > 2) for i in range(len(made))}


def test_the_replay_route_returns_the_decisions_of_each_moment(pages):
    bounds, narrow = ({"sample_x": (0.0, high), "sample_y": (0.0, 10.0)} for high in (10.0, 5.0))
    box, place = {"sample_x": (1.0, 2.0)}, {"sample_x": 4.0, "sample_y": 4.0}
    add = commands.Add(id="mine", position=place)
    happened = [
        events.Began(session="a", t=1.0, configured=bounds),
        *(events.Asked(t=t, command=command) for t, command in (
            (2.0, commands.Exclude(region=box)), (3.0, commands.Hold(by="Ann", why="tea")),
            (4.0, commands.Name(regime=1, name="gel")), (5.0, commands.SetBounds(bounds=narrow)),
            (6.0, commands.Release(by="Ann")), (7.0, commands.Release(by="Ann")),
        )),
        events.Asked(t=8.0, command=add, suggestion={**place, "_id": "mine", "reason": "so"}),
        events.HandedOut(t=9.0, suggestion={**place, "_id": "mine", "reason": "so"}),
    ]  # fmt: skip
    for number, event in enumerate(happened, 1):
        pages.node.append(number, {**event.model_dump(exclude_none=True), "kind": event.kind})
    pages.node.append(len(happened) + 1, {"kind": "nonsense"})
    moments = pages.get("replay")["moments"]
    assert moments[0] == {
        "t": 1.0, "bounds": {name: list(x) for name, x in bounds.items()}, "excluded": [], "names": {}, "held": None,
        "queue": [],
    }  # fmt: skip
    assert moments[1:] == [
        {"t": 2.0, "excluded": [{"sample_x": [1.0, 2.0]}]},
        {"t": 3.0, "held": {"by": "Ann", "why": "tea", "t": 3.0}},
        {"t": 4.0, "names": {"1": "gel"}},
        {"t": 5.0, "bounds": {name: list(x) for name, x in narrow.items()}},
        {"t": 6.0, "held": None},
        {"t": 8.0, "queue": ["mine"]},
        {"t": 9.0, "queue": []},
    ]


@pytest.mark.parametrize(("created", "known"), [("1970-01-01T00:01:50+00:00", 110.0), (None, 600.0)])
def test_a_result_is_known_with_its_line_of_the_log(created, known):  # a simulated exposure takes less than it says
    def rows(**nodes):
        return NodeRows(Columns.of(nodes), np.zeros(1, np.int64))

    lines = rows(x={"result": "k" if created else None, "created": created or "1970-01-01T00:00:00+00:00"})
    assert rows(k={"run_time": 100.0, "frame_time_s": 1.0, "n_frames": 500}).known(lines) == [known]


def test_only_the_first_verdict_on_a_suggestion_counts(pages):
    id = pages.suggestion()
    assert pages.get("campaign")["next"]["id"] == id
    with ThreadPoolExecutor(2) as pool:  # two people at once
        both = list(pool.map(lambda do: pages.command(do, suggestion=id, why="so"), ["take", "reject"]))
    assert sorted(answer.status_code for answer in both) == [200, 409]
    won, lost = sorted(both, key=lambda answer: answer.status_code)
    did = {"take": ("accepted", "took"), "reject": ("rejected", "rejected")}[won.json()["do"]]
    assert did[1] in lost.json()["detail"]["reason"] and "Ann" in lost.json()["detail"]["reason"]
    assert pages.ainerd["suggestions", id].metadata["status"] == "proposed"  # the agent writes its answer
    waiting = pages.get("campaign")["commands"][-1]
    assert (waiting["suggestion"], waiting["status"]) == (id, "asked") and waiting["do"] == won.json()["do"]
    (command,) = [command for _, command in pages.node.commands()]
    assert command["suggestion"] == id and command["position"] == {"sample_x": 1.0, "sample_y": 2.0}
    pages.node.answer(f"verdict-{id}", "done", "it is so")
    assert pages.node.commands() == [] and pages.get("campaign")["commands"][-1]["answer"] == "it is so"
    measured = pages.suggestion(status="measured")
    assert pages.command("take", suggestion=measured).status_code == 409


@pytest.mark.fault(
    "A suggestion is changed between a person's look and the click", "The verdict is refused, and nothing is measured"
)
@pytest.mark.parametrize("do", ["take", "reject"])
def test_a_verdict_is_on_the_suggestion_that_the_person_saw(pages, do):
    id = pages.suggestion(terms={"gain": 1.0, "n_frames": 100.0})
    suggestions = pages.store.container["suggestions"]
    (before,) = [each for each in pages.get("campaign")["suggestions"] if each["id"] == id]
    original = dict(suggestions[id].metadata)
    for swap in ({"sample_x": 9.0}, {"reason": "a scratch"}, {"terms": {"gain": 1.0, "n_frames": 1e6}}):
        suggestions[id].update_metadata(swap)
        refused = pages.command(do, suggestion=id, seen=before["seen"], why="so")
        assert (refused.status_code, refused.json()["detail"]) == (
            409, "the suggestion differs from the one that you saw: look again, and decide on that"
        ), swap  # fmt: skip
        suggestions[id].replace_metadata(original)
    for nothing in ("", "0" * 16):
        assert pages.command(do, suggestion=id, seen=nothing, why="so").status_code == 409
    pages.node.write_state({**STATE, "settings": "others"})  # the agent started again with other settings
    assert pages.command(do, suggestion=id, seen=before["seen"], why="so").status_code == 409
    pages.node.write_state(STATE)
    assert pages.node.commands() == []
    assert pages.command(do, suggestion=id, seen=before["seen"], why="so").status_code == 200
    ((_, command),) = pages.node.commands()
    assert command["position"] == before["position"] and command["seen"] == before["seen"]
    pages.node.answer(f"verdict-{id}", "done", "")


def test_invalid_requests_are_refused(pages):
    open = pages.suggestion()
    refused = [
        ("take", {"suggestion": "nothing"}, 404),
        ("take", {"suggestion": "../results"}, 422),
        ("take", {"suggestion": pages.suggestion(agent="other")}, 422),
        ("reject", {"suggestion": open}, 422),  # without why
        ("exclude", {"region": {"elsewhere": [0, 1]}}, 422),
        ("exclude", {"region": {"sample_x": [2, 1]}}, 422),
        ("exclude", {"region": {"sample_x": ["a", 1]}}, 422),
        ("add", {"position": {"sample_x": 1}}, 422),
        ("add", {"position": {"sample_x": 1, "sample_y": 99}}, 422),
        ("name", {"name": "gel"}, 422),
        ("name", {"regime": 1, "name": "g" * 100}, 422),
        ("dance", {}, 422),
        ("hold", {"who": ""}, 422),
        ("hold", {"agent": "nobody"}, 409),
        ("hold", {"more": "than is known"}, 422),
    ]
    for do, more, status in refused:
        answer = pages.command(do, **more)
        assert answer.status_code == status, (do, more, answer.text)
        assert len(answer.text) < 400
    assert pages.node.commands() == [] and pages.store.suggestions().loc[open, "status"] == "proposed"
    bad = pages.http.post(pages.url("command"), content=b'{"do": NaN', headers=JSON)
    assert bad.status_code == 422
    nested = b"[" * 8000
    assert (
        pages.http.post(pages.url("command"), content=nested, headers={"Content-Type": "application/json"}).status_code
        == 422
    )


def test_a_hold_is_shown_before_the_agent_acts_on_it(pages):
    assert pages.get("campaign")["held"] is None
    assert pages.command("hold", why="tea").status_code == 200
    held = pages.get("campaign")["held"]
    assert held["by"] == "Ann" and held["why"] == "tea" and held["pending"]
    assert pages.command("release").status_code == 200
    assert pages.get("campaign")["held"] is None
    for (_, key), _ in pages.node.commands():
        pages.node.answer(key, "done", "")


@pytest.mark.fault(
    "The name of a scan has letters beyond Latin-1", "Pages show it in the picture of the run in progress"
)
def test_a_picture_may_have_any_text_in_its_header(pages):
    where = pages.url("live", f"/agents/{next(iter(pages.ainerd['agents']))}")
    header = {"key": "1", "scan": "γ̇ 零 🎈", "read": 1, "of": 2, "frame_time_s": 0.1, "shape": [1, 2]}
    body = np.array([1.0, 2.0], "<f4").tobytes()
    assert pages.http.put(where, content=body, headers={"x-picture": json.dumps(header)}).status_code == 200
    answer = pages.http.get(where)
    assert answer.content == body and json.loads(answer.headers["x-picture"]) == header


@pytest.mark.fault(
    "A page of another site sends a command", "It is refused: cookie, origin and content type are checked"
)
def test_pages_of_other_sites_cannot_write(pages):
    body = {"do": "hold", "agent": "toy", "who": "Mallory"}
    with httpx.Client(trust_env=False) as browser:
        session = pages.url("session")
        assert browser.get(session).status_code == 401
        browser.cookies.set("tiled_api_key", pages.key)  # as Tiled does with ?api_key=
        browser.get(session)  # the cookie comes with an answer
        csrf = browser.get(session).json()["csrf"]
        refused = {
            "without the token": ({}, 403),
            "another origin": ({"x-csrf": csrf, "Origin": "http://evil.example"}, 403),
            "another port": ({"x-csrf": csrf, "Origin": pages.base[:-1]}, 403),
            "no origin at all": ({"x-csrf": csrf, "Origin": "null"}, 403),
            "another site": ({"x-csrf": csrf, "Sec-Fetch-Site": "cross-site"}, 403),
            "a plain form": ({"x-csrf": csrf, "Content-Type": "text/plain"}, 415),
        }
        for what, (headers, status) in refused.items():
            content = json.dumps(body).encode()
            answer = browser.post(
                pages.url("command"), content=content, headers={"Content-Type": "application/json", **headers}
            )
            assert answer.status_code == status, what
        assert pages.node.commands() == []
        answer = browser.post(pages.url("command"), json=body, headers={"x-csrf": csrf, "Origin": pages.base})
        assert answer.status_code == 200, answer.text
        assert (
            "access-control-allow-origin" not in browser.get(session, headers={"Origin": "http://evil.example"}).headers
        )
    for (_, key), _ in pages.node.commands():
        pages.node.answer(key, "done", "")
    with httpx.Client(trust_env=False) as nobody:
        for route in ("campaign", "table", "session", "replay"):
            assert nobody.get(pages.url(route)).status_code == 401
        assert pages.post("command", body, nobody).status_code == 401


@pytest.mark.fault(
    "A page's route or a run's metadata receives 1 MB of text", "It is refused or cut, so that no answer grows"
)
def test_long_and_hostile_texts_are_cut_or_refused(catalogue):
    pages = catalogue()
    big = EVIL + "x" * 1_000_000
    sent = json.dumps({"do": "hold", "agent": "toy", "who": "Ann", "why": big}).encode()
    assert pages.http.post(pages.url("command"), content=sent, headers=JSON).status_code == 413
    assert pages.command("hold", why="y" * 501).status_code == 422
    pages.store.log(big)
    pages.store.add_suggestion(
        SuggestionRecord(agent="toy", positions={EVIL.replace("/", "").replace(".", ""): 1.0}, reason=big)
    )
    key, _ = pages.result(1, reason=big)
    pages.ainerd["results", key].update_metadata(
        {"junk": big, "sample": big, "nearest_known": big, "series": {big[:90]: 1}}
    )
    pages.ainerd["results"].create_container("junk", metadata={"status": [big], "novel": EVIL})
    pages.ainerd["suggestions"].create_container("junk", metadata={"terms": EVIL})
    pages.node.write_state({**STATE, "held": {"by": EVIL, "why": big}, "explored": big, "names": {"0": EVIL}})
    assert pages.command("name", regime=0, name=EVIL[:60]).status_code == 200
    assert pages.post("note", {"key": key, "text": EVIL, "who": "\x00\u202e<b>"}).status_code == 200
    for route, below in (("campaign", ""), ("table", ""), ("replay", ""), ("result", f"/results/{key}")):
        answer = pages.http.get(pages.url(route, below))
        assert answer.is_success and len(answer.content) < 100_000, route
        assert answer.headers["content-type"].startswith("application/json")
        assert re.search("sample_x|atlases|explain", answer.text)
    assert pages.get("campaign")["results"]["n"] == 1  # invalid nodes are left out


def test_paths_outside_a_campaign_are_not_found(pages):
    with_key = pages.http
    for path in ("ainerd/../..", "%2e%2e/%2e%2e/etc", "nothing", f"{pages.name}/raw", ""):
        assert with_key.get(f"{pages.base}/custom/ainerd/campaign/{path}").status_code in (404, 307)


def test_the_digest_of_a_name_is_the_key_of_an_agent(pages):
    assert digest({"agent": "toy"}) in pages.ainerd["agents"]
