import pytest
from typer.testing import CliRunner

import ainerd.cli

MARBLE = '''
from ainerd.config import Section, read_section
from ainerd.technique import Finding, Technique

class Size(Section):
    inner: float = 1.0

class MarbleSettings(Section):
    width: float = 1.0
    nameLong: str = ""
    size: Size = Size()

class Marble(Technique):
    """The technique of the test package marble."""
    name, parameters = "marble", {"technique": "marble"}

    @classmethod
    def from_settings(cls, section, folder):
        marble = cls()
        marble.settings = read_section(MarbleSettings, section, "marble")
        if marble.settings.width == 13:
            {}["no such key"]
        return marble

    def check(self):
        yield Finding("marbles", f"{self.settings.width:g} wide", "" if self.settings.width > 0 else "make it wider")
        if self.settings.width == 7:
            raise RuntimeError("the box is stuck")
'''
COMMANDS = """
import typer
app = typer.Typer(no_args_is_help=True)

@app.callback()
def marbles():
    "Play."

@app.command()
def hello(name: str):
    print(f"hello {name}")
"""
TOML = """
name = "here"
technique = "marble"
[detector]
image = "image"
[marble]
width = 3
[steering.bounds]
x = [0.0, 1.0]
[storage]
directory = "tiled"
frames = ["."]
"""


def run(*arguments, **env):
    """Run a command in this process; the environment may be changed."""
    return CliRunner().invoke(ainerd.cli.app, [str(a) for a in arguments], env={"COLUMNS": "200", **env})


@pytest.fixture
def said(own_folder, monkeypatch, capsys):
    """What a command with a mistake prints, in the folder of the test, before it ends."""

    def said(*arguments):
        monkeypatch.setattr("sys.argv", ["ainerd", *arguments])
        with pytest.raises(SystemExit) as ended:
            ainerd.cli.main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    return said


class Site:
    """A folder of installed packages."""

    def __init__(self, folder):
        self.folder = folder

    def install(self, name, modules, **entry_points):
        """Modules, and the entry of each group ``ainerd.<group>`` that is called `name`."""
        for module, text in modules.items():
            (self.folder / f"{module}.py").write_text(text)
        about = self.folder / f"{name}-1.0.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        groups = [f"[ainerd.{group}]\n{name} = {entry}\n" for group, entry in entry_points.items()]
        (about / "entry_points.txt").write_text("\n".join(groups))


@pytest.fixture(scope="session")
def marble_site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("marble"))
    site.install(
        "marble",
        {"a_marble": MARBLE, "marble_commands": COMMANDS},
        techniques="a_marble:Marble",
        commands="marble_commands:app",
    )
    return site


@pytest.fixture
def marble(marble_site, tmp_path, importable):
    """Settings for a third-party technique that is installed."""
    importable(marble_site.folder)
    (tmp_path / "marble.toml").write_text(TOML)
    return tmp_path / "marble.toml"


@pytest.fixture
def site(tmp_path, importable):
    """Folder in which a test installs packages."""
    (tmp_path / "site").mkdir()
    importable(tmp_path / "site")
    return Site(tmp_path / "site")
