"""The menu of versions in the documentation: its list of releases, and the entry that each version marks as its own."""

import runpy
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BUILD = runpy.run_path(str(DOCS / "versions.py"))


@pytest.fixture
def repository(tmp_path):
    """A repository with three releases, one of them a candidate, and another tag."""

    def git(*words):
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=n@x", *words], cwd=tmp_path, check=True)

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "first")
    for tag in ("v0.9.0", "v0.10.0", "v0.11.0rc1", "vivid"):
        git("tag", tag)
    return tmp_path


def test_the_menu_has_all_releases_and_prefers_the_newest_final_one(repository):
    numbers = BUILD["releases"](repository)
    assert numbers == ["0.11.0rc1", "0.10.0", "0.9.0"]
    entries = BUILD["switcher"](numbers, "https://docs.example/")
    assert [entry["url"] for entry in entries] == [
        f"https://docs.example/{folder}/" for folder in ("latest", "0.11.0rc1", "0.10.0", "0.9.0")
    ]
    assert [entry["version"] for entry in entries if entry.get("preferred")] == ["0.10.0"]
    assert BUILD["switcher"]([], "/") == [{"name": "latest", "version": "latest", "url": "/latest/"}]


@pytest.mark.parametrize("folder", ["latest", "0.10.0"])
def test_a_version_in_the_menu_marks_its_own_entry(folder, monkeypatch):
    monkeypatch.setenv("DOCS_VERSION", folder)
    conf = runpy.run_path(str(DOCS / "conf.py"))
    entries = BUILD["switcher"](["0.10.0"], "/")
    assert conf["html_theme_options"]["switcher"]["version_match"] in [entry["version"] for entry in entries]
    assert "version-switcher" in conf["html_theme_options"]["navbar_end"]
    assert (conf["release"] == folder) == (folder != "latest")


def test_documentation_alone_has_no_menu(monkeypatch):
    monkeypatch.delenv("DOCS_VERSION", raising=False)
    assert "switcher" not in runpy.run_path(str(DOCS / "conf.py"))["html_theme_options"]
