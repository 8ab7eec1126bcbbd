"""Tiled's own app for the directory of an embedded server, from a configuration file, and its log.

`tiled serve config` serves the same file, but has no place for `KeyRequired`.
"""

import json
import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.staticfiles import StaticFiles
from tiled.commandline.main import cli_app
from tiled.config import parse_configs
from tiled.server.app import build_app_from_config

from ainerd.page import ui_settings, write_page
from ainerd.processes import inside
from ainerd.server._key import KeyRequired

WAIT_S = 30  # of a write to the catalogue for another one
MOST_LOG_BYTES = 5_000_000  # of server.log; as much of the older log is in server.log.1


def app_of(directory: Path, key: str, readable: list[str]) -> FastAPI:
    """Return Tiled's app for a directory, which asks for the key everywhere but on files without data.

    The directory becomes the working directory of the process.
    """
    os.chdir(directory)
    here = inside(directory)
    Path("data").mkdir(exist_ok=True)
    # `init_if_not_exists` does the same in another interpreter, which takes 4 s.
    cli_app(["catalog", "init", "--if-not-exists", f"sqlite:///{here}/catalog.db"], standalone_mode=False)
    write_page(Path("page"))
    Path("ui.yml").write_text(json.dumps(ui_settings("/ainerd/views.js")))  # JSON is YAML
    os.environ["TILED_UI_SETTINGS"] = "ui.yml"
    # A table is in SQLite, and one request at a time uses its connection: the writes of several end with an error.
    os.environ |= {"TILED_STORAGE_POOL_SIZE": "1", "TILED_STORAGE_MAX_OVERFLOW": "0"}
    storage = {
        "uri": f"sqlite:///{here}/catalog.db?timeout={WAIT_S}",
        "writable_storage": [f"{here}/data", f"sqlite:///{here}/tables.db"],
        "readable_storage": [f"{here}/results", f"{directory}/results", *readable],
    }
    settings = {"authentication": {"allow_anonymous_access": False}, "streaming_cache": {"uri": "memory"}}
    Path("tiled.yml").write_text(json.dumps({"catalog": storage} | settings, indent=1))
    config = parse_configs("tiled.yml")
    config.authentication.single_user_api_key = key  # as `tiled serve config --api-key`
    app: FastAPI = build_app_from_config(config)
    app.mount("/ainerd", StaticFiles(directory="page"))
    app.add_middleware(KeyRequired, key=key)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
    return app


def log_to(file: Path) -> None:
    """Let this process write its log to a file, and to one with the ending ``.1`` once that is long."""
    handler = RotatingFileHandler(file, maxBytes=MOST_LOG_BYTES, backupCount=1)
    handler.addFilter(_without_query)
    logging.basicConfig(handlers=[handler], level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def _without_query(record: logging.LogRecord) -> bool:
    """Cut the query off each address in a line of the log: it may hold a key."""
    if isinstance(record.args, tuple):
        record.args = tuple(x.partition("?")[0] if isinstance(x, str) else x for x in record.args)
    return True
