"""Install a project as pip does: modules on the path, entry points in the metadata."""

import importlib
import os
import shutil
import sys
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pytest

from ainerd.technique import panels

TOY = Path(__file__).parent / "toy"


@contextmanager
def installed(project, folder):
    """Install a project in `folder`, for this process and its children."""
    about = tomllib.loads((project / "pyproject.toml").read_text())
    name, version = about["project"]["name"], about["project"]["version"]
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = about["project"]["entry-points"].items()
    lines = [line for group, entries in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in entries.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines))
    modules = about["tool"]["setuptools"]["py-modules"]
    for module in modules:
        shutil.copy(project / f"{module}.py", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(folder), *sys.path])
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        forget(modules)
        try:
            yield folder
        finally:
            forget(modules)
    importlib.invalidate_caches()


def forget(modules):
    """Remove modules of an earlier installation of the same names."""
    importlib.invalidate_caches()
    panels.cache_clear()
    for module in modules:
        sys.modules.pop(module, None)
