"""A look at HDF5 files before HDF5 reads them: some damage it does not survive."""

from ainerd.hdf5._checksum import lookup3
from ainerd.hdf5._heaps import LOOK, check_bytes, check_heaps

__all__ = ["LOOK", "check_bytes", "check_heaps", "lookup3"]
