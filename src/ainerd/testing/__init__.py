"""Checks that a technique keeps what `ainerd.technique` asks of it, to be run by whoever writes one.

They need neither a RunEngine nor Tiled. In a test of your own:

>>> from ainerd.testing import ExampleRun, check_technique  # doctest: +SKIP
>>> check_technique(Mine(), [ExampleRun(frames=frames)], section={"alpha": 0.01})  # doctest: +SKIP
"""

from ainerd.testing._example import ExampleRun, analyse
from ainerd.testing._suite import Check, TechniqueCheckError, check_technique, technique_checks

__all__ = ["Check", "ExampleRun", "TechniqueCheckError", "analyse", "check_technique", "technique_checks"]
