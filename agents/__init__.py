"""One thin file for each instrument: its TOML and device names."""
