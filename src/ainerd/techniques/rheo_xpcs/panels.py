"""What rheo-XPCS draws of results: importing this needs numpy, h5py and matplotlib, no more."""
