"""Figures of a campaign, and pictures of its pages in a browser: ``python -m agents.demo.pages docs/images``.

They show the campaign in ``output/demo``, which is explored first if it does not exist.
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from agents.demo.campaign import OUTPUT, PICTURED, SAMPLES, run, truth_map
from agents.demo.simulated import agent_of, simulated_instrument
from agents.rheo_xpcs import TOML
from ainerd.config import Settings
from ainerd.results import ResultStore
from ainerd.server import embedded_server

CHROMIUM = "/usr/bin/chromium"
WIDE, WALL, PHONE = (1400, 900), (3840, 2160), (390, 844)
SHOWN = {
    "page": (WIDE, "light"),
    "page-dark": (WIDE, "dark"),
    "page-wall": (WALL, "dark"),
    "page-phone": (PHONE, "light"),
}
READY = "[data-ainerd={}][data-drawn=yes]"
PATIENCE_MS = 120_000


def main() -> None:
    """Write the figures, and a picture of each page."""
    images = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    settings = Settings.load(TOML)
    if not (OUTPUT / "tiled" / "catalog.db").exists():
        run(settings, seed=PICTURED)
    with embedded_server(OUTPUT / "tiled", readable_storage=[OUTPUT / "frames"]) as server:
        instrument = simulated_instrument(
            OUTPUT / "frames", sample=SAMPLES[PICTURED % len(SAMPLES)], sample_seed=PICTURED
        )
        agent = agent_of(server.client(), settings, instrument)
        agent.suggest()
        agent.drain()
        newest = ResultStore(server.client()["ainerd"]).table().query("status == 'complete'").index[-1]
        agent.plot(truth=truth_map(instrument)).savefig(images / "campaign.png", dpi=150)
        agent.results[newest].plot().savefig(images / "result.png", dpi=80)
        draw(f"{server.uri.partition('/api/')[0]}/ui/browse/ainerd", server.api_key, newest, images)
        agent.close()


def draw(campaign: str, api_key: str, result: str, images: Path) -> None:
    """Take pictures of the campaign on a desk, on a wall and on a phone, and of a result."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--headless=new", "--no-sandbox"])

        def opened(size: tuple[int, int], address: str, scheme: str = "light") -> Page:
            page = browser.new_page(viewport=dict(zip(("width", "height"), size, strict=True)), color_scheme=scheme)
            page.set_default_timeout(PATIENCE_MS)
            root, _, path = address.partition("/ui/browse/")
            page.goto(f"{root}/ainerd/open.html#key={api_key}&path={path}")
            page.wait_for_selector(READY.format("c2"))
            page.mouse.move(1, 1)  # so that nothing is pointed at
            return page

        for name, (size, scheme) in SHOWN.items():
            page = opened(size, campaign, scheme)
            for panel in ("map", "latent", "timeline"):
                page.wait_for_selector(READY.format(panel))
            page.wait_for_selector("[data-ainerd=next] .where")
            page.wait_for_timeout(3000)  # small pictures of the table come last
            page.screenshot(path=images / f"{name}.png", scale="css")
            page.close()
        page = opened(WIDE, f"{campaign}/results/{result}")
        for panel in ("g2", "frame", "intensity"):
            page.wait_for_selector(READY.format(panel))
        page.wait_for_load_state("networkidle")
        page.wait_for_function("!document.body.innerText.includes('reading')")  # of a series
        page.screenshot(path=images / "page-result.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
