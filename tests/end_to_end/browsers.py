"""Chromium on the pages of a campaign: its errors, its requests, and the places of elements on the screen."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import until

CHROMIUM = Path("/usr/bin/chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser can be driven")
if not CHROMIUM.exists():
    pytest.skip(f"{CHROMIUM} is not there: no browser can be driven", allow_module_level=True)

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 90_000


@contextmanager
def launched(**options):
    """Chromium without a window."""
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS, **options)
        yield chromium
        chromium.close()


class Browser:
    """One page, with its errors and the addresses of its requests."""

    def __init__(self, page, client, server):
        self.page, self.root, self._key = page, server.uri.partition("/api/")[0], server.api_key
        self.path = "/".join([*client.path_parts, "ainerd"]).strip("/")
        self.wrong, self.asked = [], []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._logged)
        page.on("pageerror", self._failed)
        page.on("response", self._answered)
        page.context.on("request", lambda request: self.asked.append(request.url))
        page.on("websocket", lambda socket: self.asked.append(socket.url))

    def _logged(self, message):
        # the answers have their own list, and a server need not have a stream
        is_known = message.text.startswith(("Failed to load resource", "WebSocket connection to"))
        if message.type in ("error", "warning") and not is_known:
            self.wrong.append(message.text)

    def _failed(self, error):
        # Of axios, which Tiled's own page uses and ours do not: it lets cancelled and early requests fail.
        if str(error) not in ("canceled", "Request failed with status code 404"):
            self.wrong.append(str(error))

    def _answered(self, answer):
        # Tiled's own page may ask for metadata before it has read where its API is. That the container of commands
        # exists shows that the person may write.
        is_known = answer.status == 409 and answer.request.method == "POST"
        if answer.status >= 400 and not is_known and not answer.url.startswith(f"{self.root}/metadata/"):
            self.wrong.append(f"{answer.status} {answer.url}")

    def open(self, *parts):
        path = "/".join((self.path, *parts))
        first = f"{self.root}/ainerd/open.html#key={self._key}&path={path}"
        self.page.goto(first if self._key else f"{self.root}/ui/browse/{path}")
        self._key = None
        self.page.wait_for_url(f"{self.root}/ui/browse/{path}")  # the address bar shows no key

    def until(self, text, of="body"):
        """Wait until an element contains a text."""
        self.page.wait_for_function(
            "([of, text]) => [...document.querySelectorAll(of)].some(each => each.innerText.includes(text))",
            arg=[of, text],
        )

    def drawn(self, name):
        self.page.wait_for_selector(f"[data-ainerd={name}][data-drawn=yes]")

    def at(self, name, x, y):
        """Return the position of a point of a picture on the screen, once the layout of the page no longer changes."""
        return self.page.evaluate(
            """async ([name, x, y]) => {
                const picture = document.querySelector(`[data-ainerd=${name}]`);
                picture.scrollIntoView({block: "center"});
                let [now, same] = [[], 0];
                while (same < 20) {  // frames of the screen
                    await new Promise(requestAnimationFrame);
                    const {xaxis, yaxis} = picture._fullLayout;
                    const box = picture.querySelector(".nsewdrag").getBoundingClientRect();
                    const [left, top] = [box.left + xaxis.d2p(x), box.top + yaxis.d2p(y)];
                    same = left === now[0] && top === now[1] ? same + 1 : 0;
                    now = [left, top];
                }
                return now;
            }""",
            [name, x, y],
        )

    def add(self, x, y):
        """Add a point with a click on the map, and wait until the agent has it."""
        self.page.get_by_role("button", name="add a point").click()
        self.page.wait_for_selector("form.wanted")

        def clicked():
            self.page.mouse.click(*self.at("map", x, y))
            self.page.wait_for_function("document.querySelector('form.wanted input').value.length > 0")
            return [float(self.page.locator("form.wanted input").nth(k).input_value()) for k in (0, 1)]

        until(lambda: clicked() == pytest.approx([x, y], abs=0.2))  # the layout may change meanwhile
        self.page.click("[data-ainerd=add]:enabled")
        self.page.wait_for_selector("form.wanted", state="detached")
