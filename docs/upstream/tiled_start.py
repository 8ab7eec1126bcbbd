"""Tiled: a server starts another interpreter at each start, to create tables that exist."""

import tempfile
import time
from importlib.metadata import version

from tiled.catalog import from_uri

seconds = []
with tempfile.TemporaryDirectory() as folder:
    for exists in (False, True, True):
        began = time.perf_counter()
        from_uri(f"sqlite:///{folder}/catalog.db", init_if_not_exists=True)
        seconds.append(f"{time.perf_counter() - began:.1f} s {'again' if exists else 'new'}")
    wasted = time.perf_counter() - began
print(f"tiled {version('tiled')}: {', '.join(seconds)}")
print("shown" if wasted > 0.5 else "mended")
