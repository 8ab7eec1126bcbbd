"""An agent for Bluesky beamlines that notices when a sample does something it has not seen before."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ainerd")
except PackageNotFoundError:  # a source folder on the path, not installed
    __version__ = "0+unknown"
DEFAULT_TECHNIQUE = "rheo_xpcs"  # where the settings name none
