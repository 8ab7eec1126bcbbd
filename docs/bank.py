"""What the calibration bank knows, in a picture: ``python docs/bank.py`` draws it for docs/explanation/novelty.md."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ainerd_xpcs.dynamics import ordinary
from ainerd_xpcs.technique import SHARES

PICTURE = Path(__file__).resolve().parent / "images" / "bank.png"
COLORS = (
    "#33526e",
    "#8c6d31",
    "#b5473c",
    "#6b9080",
    "#7a5195",
    "#e0a458",
    "#9c9c3c",
    "#4f9dc4",
    "#555555",
    "#c45a8d",
    "#2f7f5f",
)


def main() -> None:
    """Draw each kind's relaxation time and exponent, a fourth as many as the bank has."""
    rng, figure = np.random.default_rng(0), Figure(figsize=(9, 8), layout="constrained")
    panels = figure.subplots(4, 3, sharex=True, sharey=True)
    for axes, (kind, share), color in zip(panels.flat, SHARES.items(), COLORS, strict=False):
        drawn = [ordinary(kind, rng) for _ in range(share // 4)]
        parts = [part for each in drawn for _, part in each.parts]
        axes.scatter([part.tau_s for part in parts], [part.exponent for part in parts], s=4, color=color, linewidths=0)
        axes.set(xscale="log", title=f"{kind} ({share})")
    panels.flat[-1].set_axis_off()
    figure.supxlabel("relaxation time τ / exposure T")
    figure.supylabel("exponent γ")
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
