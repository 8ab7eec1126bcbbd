"""The command line `ainerd`, and functions that it shares with commands of other packages.

Commands import inside their functions, so that help is fast.
"""

from typing import Any

from ainerd.cli._dask import Dask, mapping
from ainerd.cli._running import Documents, Instrument, observing
from ainerd.cli._shared import Config, Force, Tiled, bars, check_out, key_of, results_at, show_file

__all__ = [
    "Config", "Dask", "Documents", "Force", "Instrument", "Tiled", "bars", "check_out", "key_of", "main", "mapping",
    "observing", "results_at", "show_file",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in ("app", "main"):  # lazily: the commands of techniques import this package
        from ainerd.cli import _app

        return _app.main if name == "main" else _app.build()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
