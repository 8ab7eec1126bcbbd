"""All routes of the embedded server and of one with accounts, with the answer to each actor; exit 1 if a door is open.

The server with accounts is that of docs/how-to/server.md, with databases in files. `metadata` is a service's key that
may read only metadata, `reader` one that may read; `person` has logged in and may not steer.
"""

import tempfile
from pathlib import Path

import httpx

from ainerd.server import serving
from studies._tools import Row, Study, report
from tests.doors import Route, all_routes, ask, faults, fill, shared_server

study = Study(__doc__)
KEY = "doors0doors"


@study.part
def doors() -> None:
    """Ask each route as each actor."""
    with tempfile.TemporaryDirectory() as folder:
        embedded, shared = Path(folder, "embedded"), Path(folder, "shared")
        embedded.mkdir()
        shared.mkdir()
        with shared_server(shared) as (uri, app, keys):
            rows = table("accounts", uri, all_routes(app), {"nobody": None, **keys})
        with serving(embedded, api_key=KEY) as server:
            address = server.uri.removesuffix("/api/v1")
            rows += table("embedded", address, all_routes(server.app), {"nobody": None, "service": f"Apikey {KEY}"})
    wrong = [f"{row['server']}, {row['route']}: {row['fault']}" for row in rows if row["fault"]]
    report("doors", rows, wrong=wrong)


def table(server: str, uri: str, routes: list[Route], keys: dict[str, str | None]) -> list[Row]:
    """Return a row for each route; `service` asks for a node that does not exist if the route writes."""
    node, rows = fill(uri, str(keys["service"])), []
    with httpx.Client(base_url=uri, trust_env=False, timeout=60) as http:
        for route in routes:
            answers = {}
            for who, key in keys.items():
                writes = who == "service" and route.method not in ("GET", "WS")
                answers[who] = ask(http, route, "nothing" if writes else node, key)
            shown = {who: str(answers[who][0]) if who in answers else "" for who in ACTORS}
            rows.append({"server": server, "route": str(route), **shown, "fault": ", ".join(faults(route, answers))})
    return rows


ACTORS = "nobody", "metadata", "reader", "service", "person"

if __name__ == "__main__":
    study()
