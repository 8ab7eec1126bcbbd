"""The startup file of `ainerd init --startup`: the agent beside a RunEngine and devices that exist."""

import json
import os
import re
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ainerd.config import Settings


class Layout(StrEnum):
    """Kinds of sessions."""

    ophyd = "ophyd"
    ophyd_async = "ophyd-async"
    bits = "bits"

    @property
    def file(self) -> str:
        """Name of the startup file."""
        return "ainerd_agent.py" if self is Layout.bits else "90_ainerd.py"


def filled(template: str, **names: str) -> str:
    """Return the text of a template with these names in it."""
    return Template((files("ainerd.cli") / "templates" / template).read_text("utf-8")).substitute(names)


def startup_file(layout: Layout, toml: Path, folder: Path, settings: "Settings") -> str:
    """Return the text of the file in `folder` that builds the agent of the settings in `toml`.

    The device of the first part of a data key is taken for the detector, or is read beside it. Raises ValueError if no
    device can have the name of an actuator.
    """
    motors = [*settings.steering.bounds]
    axes = [name.replace("-", ".") for name in motors]
    for name, axis in zip(motors, axes, strict=True):
        if not all(part.isidentifier() for part in axis.split(".")):
            raise ValueError(f"steering.bounds: {name!r} cannot be the name of a device")
    detector = settings.detector.image.removesuffix("_image").replace("-", ".")
    recorded = [*settings.recorded.readings.values(), *settings.recorded.series.values()]
    others = (re.split("[_-]", key)[0] for key in recorded if not key.startswith((detector, *motors)))
    beside = [*dict.fromkeys(name for name in others if name.isidentifier())]
    roots = dict.fromkeys(each.partition(".")[0] for each in (detector, *axes, *beside))
    return filled(
        f"{layout}.txt",
        toml=os.path.relpath(toml.resolve(), folder.resolve()).replace("\\", "/"),
        detector=detector,
        actuators=", ".join(axes),
        beside=", ".join(beside),
        **{key: json.dumps([*of])[1:-1] for key, of in (("names", motors), ("others", beside), ("roots", roots))},
    )
