"""Processes of Tiled with a configuration of their own."""

import socket
import subprocess
import sys
from contextlib import contextmanager

import httpx
import yaml

from tests.waiting import until


@contextmanager
def tiled(config, *, python=sys.executable, environment=None):
    """Serve a configuration file, in a process whose log lies beside it, and give its address."""
    port, log = free_port(), config.with_name("tiled.log")
    command = [python, "-m", "tiled", "serve", "config", config, "--host", "127.0.0.1", "--port", str(port)]
    with open(log, "ab") as file:
        process = subprocess.Popen(command, env=environment, cwd=config.parent, stdout=file, stderr=file)
    try:
        uri = f"http://127.0.0.1:{port}"
        until(lambda: answers(uri) or process.poll() is not None, patience_s=600)
        assert process.poll() is None, log.read_text()[-3000:]
        yield uri
    finally:
        process.terminate()
        process.wait(60)


def written(folder, provider, people, **config):
    """Write a configuration with accounts, the passwords of `people`, and a catalog in a folder; return its file."""
    accounts = {
        "provider": provider,
        "authenticator": "tiled.authenticators:DictionaryAuthenticator",
        "args": {"users_to_passwords": people},
    }
    authentication = {"providers": [accounts], "secret_keys": ["secret"], "allow_anonymous_access": False}
    config["authentication"] = authentication | config.get("authentication", {})
    config["database"] = {"uri": f"sqlite:///{folder}/people.db", "init_if_not_exists": True}
    config["catalog"] = {
        "uri": f"sqlite:///{folder}/catalog.db",
        "init_if_not_exists": True,
        "writable_storage": [f"file://localhost{folder}/data", f"sqlite:///{folder}/tables.db"],
    } | config.get("catalog", {})
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def logged_in(http, provider, name, password):
    """Return the header of a request of a person who has logged in."""
    form = {"grant_type": "password", "username": name, "password": password}
    answer = http.post(f"/auth/provider/{provider}/token", data=form)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(uri):
    try:
        return httpx.get(f"{uri}/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False
