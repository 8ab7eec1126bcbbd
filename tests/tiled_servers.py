"""Processes of Tiled with a configuration of their own."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from tests.waiting import until

DATABASES = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "files" / "tiled" / "databases.sql"
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), default=None)


@contextmanager
def postgres(*settings):
    """A PostgreSQL cluster with these settings and the databases of docs/how-to/server.md; yields PGHOST and so on.

    It lies outside pytest's folder: it refuses to run as root, and only root may enter that folder.
    """
    user = "postgres" if os.getuid() == 0 else None
    folder, tools, password = Path(tempfile.mkdtemp(prefix="ainerd-postgres-")), POSTGRES.parent, secrets.token_hex(8)
    (folder / "password").write_text(password)
    if user is not None:
        for path in (folder, folder / "password"):
            shutil.chown(path, user)
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(free_port()), "PGUSER": "tiled", "PGPASSWORD": password}
    make = ["-D", folder / "db", "-U", "tiled", "--auth=scram-sha-256", f"--pwfile={folder}/password", "--no-sync"]
    settings = "listen_addresses=127.0.0.1", "unix_socket_directories=", *settings
    serve = ["-D", folder / "db", "-p", where["PGPORT"], *(word for each in settings for word in ("-c", each))]
    ask = ["-d", "postgres", "-v", "ON_ERROR_STOP=1", "-f", DATABASES]
    try:
        subprocess.run([tools / "initdb", *make, "-E", "UTF8"], check=True, capture_output=True, user=user, cwd="/")
        with open(folder / "log", "wb") as log:
            server = subprocess.Popen([POSTGRES, *serve], stderr=log, user=user, cwd="/")
        try:
            until(lambda: not subprocess.run([tools / "pg_isready"], env=where, capture_output=True).returncode)
            subprocess.run([tools / "psql", *ask], check=True, capture_output=True, env=where)
            yield where
        finally:
            server.terminate()
            server.wait(60)
    finally:
        shutil.rmtree(folder)


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
    """Return the header of a request of a person who has logged in.

    A server that has just started also writes to the database of people, so a login may find it locked.
    """
    form = {"grant_type": "password", "username": name, "password": password}

    def token():
        return http.post(f"/auth/provider/{provider}/token", data=form).json().get("access_token")

    return {"Authorization": f"Bearer {until(token, f'the login of {name}')}"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(uri):
    try:
        return httpx.get(f"{uri}/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False
