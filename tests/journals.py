"""The runs that dead sessions left in the folder of their journals."""

from ainerd.runs import Journal, Kept


def left_in(folder):
    """Return the file and the documents of each run, oldest first."""
    return [(path, Kept(folder).documents(path)) for path in Journal(folder).left()]
