"""An agent for Bluesky beamlines that notices when a sample does something it has not seen before."""

__version__ = "0.1.0"
