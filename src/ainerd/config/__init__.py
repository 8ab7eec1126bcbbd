"""Settings of one instrument: a TOML file, overridden by the environment.

The sections defined here are the same for all techniques. A technique validates its own section, such as
``[rheo_xpcs]``, with `read_section`.
"""

from ainerd.config._settings import (
    Recorded,
    Section,
    Settings,
    SettingsError,
    Steering,
    Storage,
    read_map,
    read_section,
)

__all__ = [
    "Recorded", "Section", "Settings", "SettingsError", "Steering", "Storage", "read_map", "read_section",
]  # fmt: skip
