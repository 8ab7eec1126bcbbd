"""The page on a Tiled server of other people: in an environment without ainerd, with accounts, and two of them."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import yaml
from tiled.client import from_uri

from ainerd.results import AtlasRecord
from tests.end_to_end.browsers import Browser, launched
from tests.end_to_end.night import Night
from tests.tiled_servers import logged_in, tiled, written
from tests.waiting import until

PEOPLE = {"ann": "blende", "bob": "lupe"}  # bob only reads
POLICY = """
from tiled.access_control.access_policies import DummyAccessPolicy
from tiled.access_control.scopes import ALL_SCOPES, NO_SCOPES, PUBLIC_SCOPES

class OneWrites(DummyAccessPolicy):
    async def allowed_scopes(self, node, principal, authn_access_tags, authn_scopes):
        if principal is None:
            return NO_SCOPES
        writes = any(identity.id == "ann" for identity in principal.identities)
        return (ALL_SCOPES if writes else PUBLIC_SCOPES) & {*authn_scopes}
"""
GROUP, RESULTS = 7, 20  # results on the left of the latent space, and all


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment with the packages of this one, but for ours."""
    folder = tmp_path_factory.mktemp("plain")
    venv.create(folder, symlinks=True)
    here, there = (Path(sysconfig.get_path("purelib", vars={"base": base})) for base in (sys.prefix, folder))
    for path in here.iterdir():
        if "ainerd" not in path.name and not (there / path.name).exists():
            (there / path.name).symlink_to(path)
    shutil.copytree(Path(sys.prefix) / "share" / "tiled", folder / "share" / "tiled")
    python = folder / "bin" / "python"
    assert subprocess.run([python, "-I", "-c", "import ainerd"], capture_output=True).returncode == 1
    return python


@pytest.fixture(scope="module")
def server(python, tmp_path_factory):
    """A Tiled server with accounts, a stream of changes and the page's files, which has never heard of ainerd."""
    folder = tmp_path_factory.mktemp("elsewhere")
    share = subprocess.check_output(
        [python, "-c", "from tiled.utils import SHARE_TILED_PATH as p; print(p)"], text=True
    )
    files = Path(share.strip()) / "ui" / "ainerd"
    command = [sys.executable, "-m", "ainerd.page", files]
    lines = subprocess.check_output(command, text=True)
    settings = yaml.safe_load((files.parents[1] / "static" / "default_ui_settings.yml").read_text())
    (folder / "ui.yml").write_text(yaml.safe_dump({**settings, **yaml.safe_load(lines)}))
    (folder / "one_writes.py").write_text(POLICY)
    access = {"access_policy": "one_writes:OneWrites", "args": {}}
    config = written(folder, "lab", PEOPLE, access_control=access, streaming_cache={"uri": "memory"})
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TILED_UI_SETTINGS": str(folder / "ui.yml")}
    with tiled(config, python=python, environment=environment) as uri:
        yield SimpleNamespace(uri=f"{uri}/api/v1", api_key=None)


@pytest.fixture(scope="module")
def campaign(server):
    """What an agent has written: results in two groups, two suggestions, and its state."""
    with httpx.Client(base_url=server.uri, trust_env=False) as http:
        asked, ann = {"expires_in": 3600, "scopes": ["inherit"]}, logged_in(http, "lab", "ann", PEOPLE["ann"])
        key = http.post("/auth/apikey", json=asked, headers=ann).json()["secret"]
    client = from_uri(server.uri, api_key=key)
    night, rng = Night(client, "toy", "mm", x=[0.0, 10.0], y=[0.0, 10.0]), np.random.default_rng(0)
    night.keys = []
    for i in range(RESULTS):
        point, p = [-8 if i < GROUP else 8, *rng.normal(size=3)], 0.001 if i == 5 else 0.5
        positions = {"x": 0.5 + 2.2 * (i % 5), "y": 0.5 + 2.2 * (i // 5)}
        night.keys.append(night.result(100 + i, point=point, p=p, regime=int(i >= GROUP), positions=positions))
    labels = {key: int(i >= GROUP) for i, key in enumerate(night.keys)}
    night.store.add_atlas(AtlasRecord(n_regimes=2, supported_range=(2, 2), labels=labels))
    night.first, night.second = (night.suggestion(x=x, y=4.0) for x in (3.0, 9.0))
    report(night)
    yield night
    client.context.http_client.close()


def report(night, **changes):
    """Write the state with the queue of both suggestions."""
    night.state(queue=[night.second, night.first], at={"session": "one"}, **changes)


@pytest.fixture(scope="module")
def people(campaign, server):
    """The browsers of both, who log in on Tiled's own page."""
    with launched() as chromium:
        browsers = {}
        for name, password in PEOPLE.items():
            page = chromium.new_context(viewport={"width": 1400, "height": 1000}).new_page()
            browsers[name] = Browser(page, campaign.client, server)
            page.goto(f"{server.uri.removesuffix('/api/v1')}/ui/login")
            page.locator("input[type=text], input[name=username]").first.fill(name)
            page.locator("input[type=password]").fill(password)
            page.get_by_role("button", name=re.compile("log ?in|sign ?in", re.IGNORECASE)).first.click()
            page.wait_for_function("window.__TILED_ACCESS_TOKEN__")
            browsers[name].open()
            browsers[name].drawn("map")
        yield SimpleNamespace(**browsers)


def sent(campaign, queue="commands"):
    """The commands that wait, the newest last."""
    node = campaign.ainerd["agents"].values().first()[queue]
    return [{"id": key, **child.metadata} for key, child in node.items() if child.metadata["status"] == "asked"]


def answer(campaign, command, status="done", text="as you wish"):
    """Answer as the agent does: the command first, then the state."""
    queue = "holds" if command["do"] in ("hold", "release") else "commands"
    node = campaign.ainerd["agents"].values().first()[queue, command["id"]]
    node.update_metadata({"status": status, "answer": text})


def test_whoever_may_only_read_sees_everything_and_no_button(people):
    people.bob.until("You may read here, but not write", "[data-ainerd=next]")
    people.bob.until(f"{RESULTS} results", "[data-ainerd=found]")
    for name in ("take", "hold", "reject"):
        assert people.bob.page.locator(f"[data-ainerd={name}]").count() == 0
    assert people.ann.page.locator("[data-ainerd=hold]").count() == 1


def test_decisions_of_a_person_are_nodes_with_the_name_of_the_account(people, campaign):
    page = people.ann.page
    page.wait_for_selector("[data-ainerd=take]:enabled")
    page.locator("[data-ainerd=take]").first.click()
    people.ann.until("ann: take (not answered yet)", "[data-ainerd=next]")
    page.locator("[data-ainerd=reject]").first.click()
    page.fill("[data-ainerd=why]", "a bubble")
    page.locator("[data-ainerd=reject]").first.click()
    people.ann.until("ann: not this", "[data-ainerd=queue]")
    page.get_by_role("button", name="regime 1").first.click()
    page.get_by_role("button", name="name it").click()
    page.fill("[data-ainerd=name]", "gel")
    page.keyboard.press("Enter")
    page.wait_for_selector(".naming", state="detached")
    commands = {each["do"]: each for each in sent(campaign)}
    assert {each["by"] for each in commands.values()} == {"ann"}
    assert commands["take"]["suggestion"] == campaign.second
    assert commands["take"]["position"] == {"x": 9.0, "y": 4.0} and commands["take"]["terms"] == {"empty_radius": 2.0}
    assert (commands["reject"]["suggestion"], commands["reject"]["why"]) == (campaign.first, "a bubble")
    assert (commands["name"]["regime"], commands["name"]["name"]) == (1, "gel")


def test_a_hold_and_its_answer_are_on_both_pages_at_once(people, campaign):
    people.ann.page.click("[data-ainerd=hold]")
    (hold,) = until(lambda: sent(campaign, "holds"))
    answer(campaign, hold)
    report(campaign, held={"by": "ann", "why": "tea", "t": time.time()}, names={"1": "gel"})
    for browser in (people.ann, people.bob):
        browser.until("Held by ann: tea", "[data-ainerd=next]")
    people.ann.until("as you wish", "[data-ainerd=answer]")
    people.bob.until("regime 1 (gel)", ".legend")


def test_a_lasso_filters_the_table(people):
    browser, page = people.bob, people.bob.page
    (left, right), (low, high) = page.evaluate(
        """() => {
            const {xaxis, yaxis} = document.querySelector("[data-ainerd=latent]")._fullLayout;
            return [xaxis.range, yaxis.range];
        }"""
    )
    inset = 0.01 * (right - left), 0.01 * (high - low)
    left, low, high, middle = left + inset[0], low + inset[1], high - inset[1], (left + right) / 2
    corners = [(left, low), (left, high), (middle, high), (middle, low), (left, low)]
    page.mouse.move(*browser.at("latent", *corners[0]))
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*browser.at("latent", *corner), steps=4)
    page.mouse.up()
    browser.until(f"{GROUP} chosen with the lasso", "[data-ainerd=chosen]")
    browser.until(f"1 to {GROUP} of {GROUP}", "[data-ainerd=table]")
    page.get_by_role("button", name="others like these").click()
    browser.until("nearest first", "[data-ainerd=chosen]")
    browser.until(f"1 to {RESULTS - GROUP} of", "[data-ainerd=table]")
    page.get_by_role("button", name="show all").click()


def test_a_result_has_a_page_and_gets_notes_of_people(people, campaign):
    for browser in (people.ann, people.bob):
        browser.open("results", campaign.keys[5])
        browser.until("scan 105", "h1")
        browser.until("Novel: 1 in 1000 exposures of known behaviour would look as unusual", "[data-ainerd=explain]")
    people.ann.page.click("text=add a note")
    people.ann.page.fill("form input", "a bubble")
    people.ann.page.get_by_role("button", name="note it").dblclick()
    people.ann.until("note: a bubble", "form em")
    assert [note["note"] for note in campaign.store.notes()] == ["a bubble"]
    assert "ann noted on scan 105: a bubble" in campaign.store.logbook()["text"].to_list()
    assert people.bob.page.locator("text=add a note").count() == 0
    assert people.ann.wrong == [] and [each for each in people.bob.wrong if not re.match("40[134] ", each)] == []
