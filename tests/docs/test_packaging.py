"""The files that describe the package elsewhere agree with `pyproject.toml`, and imported packages are required."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA = {"matplotlib-base": "matplotlib", "msgpack-python": "msgpack", "pyfai-base": "pyfai"}


def required(*extras):
    """Requirements of the package and some of its extras: names, in small letters, with their ranges."""
    ranges = {}
    for line in [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]:
        name, versions = re.fullmatch(r"([\w.-]+)(?:\[.*?\])?(.*)", line).groups()
        if name != "ainerd":
            ranges[name.lower()] = versions
    return ranges


def of_server():
    """Requirements of `tiled[server]`, by name."""
    lines = [line for line in requires("tiled") if "extra ==" not in line or re.search(r"extra == .server.", line)]
    return {re.match(r"[\w.-]+", line)[0].lower() for line in lines}


def modules(nodes):
    """Top-level modules that statements import."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(str(node.module).partition(".")[0])
    return names


def imported(*folders):
    """Top-level modules that files import, other than the standard library and our own."""
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    names = {name for path in paths for name in modules(ast.walk(ast.parse(path.read_text())))}
    ours = {"agents", "sim_devices", *(path.name for path in (ROOT / "src").iterdir())}
    return names - set(sys.stdlib_module_names) - ours


def test_everything_that_is_imported_is_required():
    distributions = packages_distributions()
    known = {*required(*(extra for extra in EXTRAS if extra not in ("dev", "docs", "peers"))), *of_server()}
    optional = {"IPython", "ophyd_async", "pexpect", "playwright"}  # a session has IPython; the rest draws the tutorial
    missing = {
        name
        for name in imported("src", "sim_devices", "agents") - optional
        if not known & {each.lower().replace("_", "-") for each in distributions.get(name, [name])}
    }
    assert not missing, f"imported, and not required by any extra: {missing}"
    of_agent = required("agent")
    assert not {"torch", "plotly", "ipython", "ophyd"} & of_agent.keys()


def test_the_conda_recipe_requires_the_same():
    recipe = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text())
    run = dict(re.fullmatch(r"(\S+) ?(.*)", line).groups() for line in recipe["requirements"]["run"])
    assert run.pop("python") == PROJECT["requires-python"]
    assert {CONDA.get(name, name): versions for name, versions in run.items()} == required("agent")


def pinned(file):
    """Exact versions in a file, by normalized name."""
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}


def test_the_locked_versions_are_those_that_tests_run_with():
    locked, tested = pinned("requirements-agent.txt"), pinned("constraints.txt")
    differ = {name for name, version in locked.items() if tested.get(name) != version}
    assert differ <= {"async-timeout", "colorama"}  # of Python 3.11.2 and of Windows
    missing = required("agent").keys() - locked.keys()
    assert not missing, f"`make lock`: requirements-agent.txt lacks {missing}"
    text = (ROOT / "requirements-agent.txt").read_text()
    assert all("--hash=sha256:" in each for each in re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:])
    assert "://" not in text and not {"torch", "pytest"} & locked.keys()


def test_the_wheel_has_the_simulated_instrument_where_the_command_looks():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["force-include"]
    assert included == {name: f"ainerd/simulated/{name}" for name in ("agents", "profiles", "sim_devices")}
    assert all((ROOT / name).is_dir() for name in included)
