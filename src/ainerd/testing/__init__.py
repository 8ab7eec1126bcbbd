"""Checks for authors of techniques. They test everything that `ainerd.technique` requires.

The checks do not need a RunEngine or Tiled. `check_technique` runs all of them, `technique_checks` one by one.
"""

from ainerd.testing._example import ExampleRun, Feed, analyse
from ainerd.testing._suite import Check, TechniqueCheckError, check_technique, technique_checks

__all__ = ["Check", "ExampleRun", "Feed", "TechniqueCheckError", "analyse", "check_technique", "technique_checks"]
