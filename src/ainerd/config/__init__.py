"""Settings of one instrument: a TOML file, overridden by the environment.

The sections defined here are the same for all techniques. A technique validates its own section, such as
``[rheo_xpcs]``, with `read_section`.
"""

from ainerd.config._problems import SettingsError, read_section, short
from ainerd.config._sections import Acquisition, Detector, Recorded, Section, Steering, Storage, read_map
from ainerd.config._settings import Settings, located

__all__ = [
    "Acquisition", "Detector", "Recorded", "Section", "Settings", "SettingsError", "Steering", "Storage", "located",
    "read_map", "read_section", "short",
]  # fmt: skip
