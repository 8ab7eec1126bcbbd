"""Demonstrations with the simulated instrument: the whole loop, the figures of the paper, pictures of a session."""
