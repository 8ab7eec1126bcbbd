"""Tiled on SQLite: nodes are sorted by the text of a number, not by the number."""

from importlib.metadata import version

from tiled.client import from_uri
from tiled.server import SimpleTiledServer

numbers = [10.0, 9.0, 1e-5, -3.0, 100.0]
with SimpleTiledServer() as server:
    client = from_uri(server.uri)
    for number in numbers:
        client.create_container(metadata={"x": number})
    found = [node.metadata["x"] for node in client.sort(("x", 1)).values()]
print(f"tiled {version('tiled')}: sorted by x: {found}; expected {sorted(numbers)}")
print("shown" if found != sorted(numbers) else "mended")
