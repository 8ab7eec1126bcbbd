"""An agent for Bluesky beamlines that notices when a sample does something it has not seen before."""

__version__ = "0.1.0"
DEFAULT_TECHNIQUE = "rheo_xpcs"  # where the settings name none, and whose commands have short forms
