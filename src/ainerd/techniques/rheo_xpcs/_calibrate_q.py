"""`ainerd calibrate-q`: distance and beam centre from the rings of a standard."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli import Config, Force, check_new, mean_frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ainerd.techniques.rheo_xpcs._settings import PartitionSettings
    from ainerd.xpcs import Rings

MOST_ORDERS = 30
OVAL = 4.0  # errors of the second harmonic, above which the circles are called oval
_NEEDED = "give --config with the geometry of the instrument"


def calibrate_q(
    frames: Annotated[Path, typer.Argument(help="Frames of the standard: .npy or HDF5.")],
    dataset: Annotated[str | None, typer.Option(help="Dataset of an HDF5 file. Default: the largest one.")] = None,
    period_nm: Annotated[
        float | None, typer.Option(help="Period of the standard in nm. Default: silver behenate, 5.838.")
    ] = None,
    period_err_nm: Annotated[float, typer.Option(min=0, help="Error of --period-nm.")] = 0.0,
    ring: Annotated[
        list[float] | None, typer.Option(help="Or the q of a ring in 1/nm; give one for each ring.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The figure (.png).")] = Path("calibration.png"),
    force: Force = False,
    config: Config = None,
) -> None:
    """Fit distance and beam centre to the rings of a standard, from the geometry in the settings, with errors.

    The distance in the settings may be wrong by 20 %, the beam centre by about a tenth of the radius of the first ring.
    """
    import numpy as np

    from ainerd.techniques.rheo_xpcs._bins import beam_and_masked, sensor
    from ainerd.xpcs import SILVER_BEHENATE, fit_rings

    settings = _geometry(config)
    if ring and period_nm is not None:
        raise ValueError("give --period-nm or --ring, not both")
    check_new(out, force)
    period, error = SILVER_BEHENATE if period_nm is None else (period_nm, period_err_nm)
    if not period > 0:
        raise ValueError(f"--period-nm must be positive, got {period}")
    q = sorted(ring) if ring else [2 * np.pi * n / period for n in range(1, MOST_ORDERS + 1)]
    image, (_, masked) = mean_frame(frames, dataset), beam_and_masked(settings)
    if image.shape != tuple(sensor(settings).shape):
        raise ValueError(f"{frames}: frames of {image.shape}, the detector in {config} has {sensor(settings).shape}")
    if masked is not None:
        image[masked] = np.nan
    assert settings.beam_center_px is not None and settings.distance_m is not None and settings.energy_keV is not None
    try:
        found = fit_rings(
            image, q_inv_nm=q, q_relative_err=0.0 if ring else error / period, pixel_m=sensor(settings).pixel1,
            energy_keV=settings.energy_keV, distance_m=settings.distance_m, beam_center_px=settings.beam_center_px,
        )  # fmt: skip
    except ValueError as err:
        raise ValueError(f"{frames}: {err}") from None
    _draw(image, found).savefig(out, dpi=120)
    for line in sentences(found):
        print(line)
    row, column = found.beam_center_px
    print(f"\n[rheo_xpcs.partition]\nbeam_center_px = [{row:.3f}, {column:.3f}]\ndistance_m = {found.distance_m:.6g}")
    print(f"\nfigure: {out}")


def sentences(found: "Rings") -> list[str]:
    """Describe the fit."""
    import numpy as np

    centre = [
        f"{name} {x:.2f} ± {error:.2g}"
        for name, x, error in zip(("row", "column"), found.beam_center_px, found.beam_center_px_err, strict=True)
    ]
    n, rms = len(np.unique(found.order)), float(np.sqrt(np.mean(found.off_px**2)))
    lines = [
        f"distance {found.distance_m:.5g} ± {found.distance_m_err:.2g} m, beam at {', '.join(centre)}",
        f"{n} ring{'s' * (n > 1)} in {len(found.order)} sectors, {rms:.2g} pixels (rms) from circles",
        f"q is known to {found.q_err:.2g} of its value, if the energy is right",
    ]
    if found.oval_px > OVAL * found.oval_px_err:
        oval = f"{found.oval_px:.2g} ± {found.oval_px_err:.2g} pixels"
        lines.append(f"the rings are oval by {oval}: is the detector normal to the beam? A tilt is not fitted")
    return lines


def _geometry(config: Path | None) -> "PartitionSettings":
    """Read the geometry in the settings; ValueError without one."""
    from ainerd.config import read_section, read_toml
    from ainerd.techniques.rheo_xpcs._settings import PartitionSettings

    if config is None:
        raise ValueError(_NEEDED)
    try:
        table = read_toml(config).get("rheo_xpcs", {}).get("partition", {})
    except ValueError as err:
        raise ValueError(f"{config}: {err}") from None
    section = read_section(PartitionSettings, table, "rheo_xpcs.partition").anchored(config.resolve().parent)
    if not section.by_geometry:
        raise ValueError(f"{config}: its bins come from a file: {_NEEDED}, beam_center_px, distance_m and energy_keV")
    return section


def _draw(image: "NDArray[np.float64]", found: "Rings") -> Any:
    """Draw the mean frame with the fitted circles, and the distance of each sector from them."""
    import numpy as np
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Circle

    from ainerd.techniques.rheo_xpcs._drawing import new_figure

    figure = new_figure(11, 5)
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    shown = image[image > 0]
    low, high = np.percentile(shown, (2, 99.8))
    left.set_facecolor("0.85")
    edges = (0, image.shape[1], image.shape[0], 0)
    left.imshow(np.maximum(image, low), norm=LogNorm(low, max(high, 1.001 * low)), cmap="Greys", extent=edges)
    row, column = found.beam_center_px
    for order in np.unique(found.order):
        some = found.order == order
        radius = float(np.mean(found.radius_px[some] - found.off_px[some]))
        left.add_patch(Circle((column, row), radius, fill=False, color="#D55E00", lw=0.7))
        right.plot(found.phi[some], found.off_px[some], ".", label=f"ring {order}")
    left.plot(column, row, "+", color="#D55E00", ms=10)
    left.set(xlabel="column", ylabel="row", xlim=edges[:2], ylim=edges[2:], title="mean frame, and fitted rings")
    right.axhline(0, lw=1, color="0.7")
    right.legend(fontsize=7, ncols=3)
    right.set(xlabel="azimuth (°)", ylabel="distance from the circle (pixels)", title=sentences(found)[0])
    right.title.set_fontsize(8)
    return figure
