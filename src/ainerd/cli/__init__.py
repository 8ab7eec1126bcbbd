"""The command line `ainerd`, and what the commands of techniques share with it.

What a command needs is imported inside it, so that help is quick.
"""

from typing import Any

from ainerd.cli._shared import Config, Json, Tiled, bars, key_of, opened, show_file, show_near, store_of

__all__ = ["Config", "Json", "Tiled", "bars", "key_of", "main", "opened", "show_file", "show_near", "store_of"]


def __getattr__(name: str) -> Any:
    if name in ("app", "main"):  # assembled when asked for: the commands of techniques import this package
        from ainerd.cli import _app

        return _app.main if name == "main" else _app.build()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
