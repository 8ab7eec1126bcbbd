"""Type the first session of the README with an installed wheel: ``python .ci/first_session.py`` in a scratch folder."""

import os
import re
import runpy
from pathlib import Path

import ainerd

simulated = Path(ainerd.__file__).parent / "simulated"
assert simulated.is_dir(), f"{ainerd.__file__} is not from a wheel"
profile = simulated / "profiles" / "rheo_xpcs"
os.environ["AINERD_CONFIG"] = str(profile / "small.toml")
os.environ["AINERD_STORAGE__DIRECTORY"] = str(Path("tiled").resolve())
os.environ["AINERD_STORAGE__FRAMES"] = f'["{Path("frames").resolve()}"]'
names: dict = {}
for startup in sorted((profile / "startup").glob("*.py")):
    names = runpy.run_path(str(startup), names)
text = (Path(__file__).parents[1] / "README.md").read_text()
session = re.search(r"## A first session.*?```python\n(.*?)```", text, re.DOTALL)
assert session
for line in session[1].splitlines():
    print(">>>", line, flush=True)
    exec(compile(line, "<README>", "single"), names)
names["agent"].drain(600)
table = names["agent"].results.table()
assert len(table) == 4 and (table["status"] == "complete").all(), table["status"]
print(f"{len(table)} complete results with ainerd {ainerd.__version__} of {ainerd.__file__}")
