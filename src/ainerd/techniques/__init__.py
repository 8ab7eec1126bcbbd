"""Techniques, each in a folder of its own; nothing imports one but by `ainerd.technique.load`."""
