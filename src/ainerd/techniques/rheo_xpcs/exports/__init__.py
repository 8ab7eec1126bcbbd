"""A result as a file: NXxpcs, with the groups that pyXpcsViewer reads."""
