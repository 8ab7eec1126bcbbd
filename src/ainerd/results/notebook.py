"""A figure that a notebook shows."""

import io

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A figure made without pyplot; a notebook shows such a figure as an image only because of `_repr_png_`."""

    def _repr_png_(self) -> bytes:
        png = io.BytesIO()
        self.savefig(png, format="png", dpi=100)
        return png.getvalue()
