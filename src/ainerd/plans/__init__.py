"""Bluesky plans: one exposure, visits of suggested positions, and many visits."""

from ainerd.plans._limits import Device, answer_of, check_limits, check_units, reading
from ainerd.plans._visit import Devices, explore, expose, visit

__all__ = ["Device", "Devices", "answer_of", "check_limits", "check_units", "explore", "expose", "reading", "visit"]
