"""Checks for authors of techniques. They test everything that `ainerd.technique` requires.

The checks do not need a RunEngine or Tiled.
"""

from ainerd.testing._example import ExampleRun, Feed, analyse
from ainerd.testing._suite import TechniqueCheckError, check_technique

__all__ = ["ExampleRun", "Feed", "TechniqueCheckError", "analyse", "check_technique"]
