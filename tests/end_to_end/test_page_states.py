"""The page of a campaign without a session: many results, motors in metres, a server that answers late, two agents."""

import uuid

import pytest

from tests.end_to_end.browsers import Browser, launched
from tests.end_to_end.night import Night


@pytest.fixture(scope="module")
def chromium():
    with launched() as chromium:
        yield chromium


class Shown(Night):
    """A campaign of three results and a suggestion, without an agent, and a page that shows it."""

    def __init__(self, server, chromium):
        client = server.client().create_container(f"states-{uuid.uuid4().hex[:8]}")
        super().__init__(client, x=[0.0, 0.01], y=[0.0, 0.01])
        self.server, self.chromium = server, chromium
        for i in range(3):
            self.result(i)
        self.first = self.suggestion(x=0.00412, y=0.0)
        self.state()
        self.browser = self.another()
        self.page = self.browser.page

    def another(self):
        page = self.chromium.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        return Browser(page, self.client, self.server)

    def result(self, i, **changes):
        return super().result(i, positions={"x": 0.00111 * (i % 9), "y": 0.0005 * (i // 9)}, **changes)


@pytest.fixture
def night(server, chromium):
    yield Shown(server, chromium)
    for context in chromium.contexts:
        context.close()


def test_a_page_stays_with_one_of_two_agents_until_it_ends(night):
    night.browser.open()
    night.browser.until("1 to 3 of 3", "[data-ainerd=table]")
    night.state("two")  # reports later, and is the newest
    night.store.log("a line of one")
    night.state()
    night.browser.until("a line of one", "[data-ainerd=log]")
    assert night.page.get_by_label("agent", exact=True).input_value() == "one"
    night.state(closed=True)
    night.state("two")
    night.page.wait_for_function("() => document.querySelector('select[aria-label=agent]').value === 'two'")
    night.browser.open("suggestions", night.first)  # of the agent that did not report last
    night.browser.until("unexplored", ".reason")
    assert night.browser.wrong == []


def test_a_connection_that_was_lost_in_silence_is_noticed(night):
    night.page.clock.install()
    night.browser.open()
    night.browser.until("connected", "[data-ainerd=feed]")
    questions, held = "**/api/v1/search/**", []
    night.page.route(questions, lambda route: held.append(route))  # an answer never comes
    while not held:
        night.page.clock.fast_forward(2_000)
        night.page.wait_for_timeout(50)
    night.page.clock.fast_forward(31_000)
    night.browser.until("the server does not answer: no answer within 30 s", "[data-ainerd=feed]")
    night.page.unroute(questions)
    night.page.clock.fast_forward(5_000)
    night.browser.until("connected", "[data-ainerd=feed]")


def test_rows_are_compared_by_click_and_the_name_is_kept(night, server):
    page = night.page
    night.browser.open()
    night.browser.until("1 to 3 of 3", "[data-ainerd=table]")
    boxes = page.get_by_role("checkbox", name="compare scan")
    boxes.nth(0).check()
    night.browser.until("tick another one", "[data-ainerd=marked]")
    boxes.nth(1).check()
    night.browser.until("2 chosen runs", ".looked")
    page.set_viewport_size({"width": 1400, "height": 400})  # the table is below the panels
    page.get_by_role("button", name="show the comparison").click()
    page.wait_for_function("document.querySelector('.looked').getBoundingClientRect().top >= 0")
    page.locator("tr[data-key]").nth(2).locator("td").last.click(modifiers=["Shift"])
    night.browser.until("3 chosen runs", ".looked")
    assert page.evaluate("getSelection().toString()") == "" and boxes.nth(2).is_checked()
    page.get_by_role("button", name="untick all").click()
    night.browser.until("The newest run", ".looked")
    page.get_by_label("You are").fill("Ada; Lovelace")
    page.reload()
    night.browser.until("1 to 3 of 3", "[data-ainerd=table]")
    assert page.get_by_label("You are").input_value() == "Ada; Lovelace"
    (cookie,) = [each for each in page.context.cookies() if each["name"] == "ainerd-who"]
    assert cookie["path"] == "/" and cookie["sameSite"] == "Strict" and night.browser.wrong == []  # for any port


def test_results_are_read_from_the_newest_back_and_can_be_chosen(night):
    for i in range(10, 32):
        night.result(i, start={"sample": "wax" if i == 30 else "gel"})
    night.state()

    def few(route):  # as if there were thousands
        script = route.fetch().text().replace("FIRST = 1000;", "FIRST = 22;").replace("PAGE = 300;", "PAGE = 9;")
        route.fulfill(body=script, content_type="text/javascript")

    night.page.route("**/views.js", few)
    night.browser.open()
    for name in ("map", "latent", "timeline"):
        night.browser.drawn(name)
    night.browser.until("22 results of 25", "[data-ainerd=found]")
    night.page.get_by_role("button", name="read older results: 3 more").click()
    night.browser.until("25 results", "[data-ainerd=found]")
    night.browser.until("1 to 20 of 25", "[data-ainerd=table]")
    night.page.mouse.click(*night.browser.at("map", 0.00111 * (30 % 9), 0.0005 * (30 // 9)))
    night.browser.until("scan 30", "[data-ainerd=gallery]")
    night.page.get_by_role("button", name="the next rows").click()
    night.browser.until("21 to 25 of 25", "[data-ainerd=table]")
    night.page.locator("input[type=search]").fill("wax")
    night.browser.until("1 to 1 of 1 (of 25)", "[data-ainerd=table]")
    assert night.browser.wrong == []


def test_raw_runs_have_scan_numbers_and_samples(night):
    raw = night.client["raw"]
    for i in range(35):
        start = {"uid": str(uuid.UUID(int=i)), "scan_id": 500 + i, "time": 1e9 + 60 * i, "plan_name": "count"}
        start["sample"] = {"name": "gel <b>3</b>"} if i == 34 else f"gel {i}"
        stop = {"time": start["time"] + 42, "exit_status": "fail", "reason": "spoilt"} if i % 2 else {}
        raw.create_container(start["uid"], metadata={"start": start, **({"stop": stop} if stop else {})})
    night.browser.open()
    night.page.goto(f"{night.browser.root}/ui/browse/{night.browser.path.rpartition('/')[0]}/raw")
    night.browser.until("1 to 30 of 35 runs")
    first, second = (night.page.locator("tbody tr").nth(k).inner_text() for k in (0, 1))
    assert all(text in first for text in ("534", "gel <b>3</b>", "count", "in progress"))
    assert "533" in second and "42 s" in second and "fail: spoilt" in second
    night.page.get_by_role("button", name="older").click()
    night.browser.until("31 to 35 of 35 runs")
    night.page.get_by_role("link", name="500").click()
    night.page.wait_for_url(f"**/raw/{uuid.UUID(int=0)}")
    assert night.browser.wrong == []
