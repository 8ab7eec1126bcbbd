"""Clients of EPICS in a process that outlives their IOC."""

import atexit

import epics


def keep_channels():
    """Never close channels: pyepics crashes when it closes those of an IOC that has ended, also as the process ends."""
    atexit.unregister(epics.ca.finalize_libca)
    if "__del__" in vars(epics.PV):
        del epics.PV.__del__
