"""The correlated frames of an exposure, from which the checks and the parts of a result are computed."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import RunInfo
from ainerd_xpcs.latent import SIZE
from ainerd_xpcs.numerics import G2, LeftOut, MultiTau, Screen, TwoTimeReducer, per_bin
from ainerd_xpcs.technique._cells import MANY, Cells
from ainerd_xpcs.technique._pixel_noise import MOST, pixel_noise
from ainerd_xpcs.technique._speckle_size import SPECKLE_PIXELS, speckle_px
from ainerd_xpcs.technique._verdict import filled

if TYPE_CHECKING:
    from ainerd_xpcs.technique._technique import RheoXPCS


@dataclass(frozen=True, eq=False)
class Correlated:
    """The frames of an exposure so far: screened, reduced to maps, and correlated.

    Each number is computed when it is first asked for, so frames that come later need another object.

    Attributes
    ----------
    technique : RheoXPCS
    run : RunInfo
    screen : Screen
    reducer : TwoTimeReducer
        For C2.
    correlator : MultiTau
        For g2.
    n_lost : int
        Frames that may be missing between the others.
    """

    technique: "RheoXPCS"
    run: RunInfo
    screen: Screen
    reducer: TwoTimeReducer
    correlator: MultiTau
    n_lost: int = 0

    @property
    def n_frames(self) -> int:
        """Number of frames, with those that are left out."""
        return self.reducer.n_pushed

    @cached_property
    def left_out(self) -> LeftOut:
        """Pixels and frames that are left out."""
        return self.screen.left_out

    @cached_property
    def n_pixels(self) -> NDArray[np.int64]:
        """Pixels of each bin in the last frame, (n_roi,)."""
        return np.asarray(per_bin(self.reducer.sums.pixels[-1:], self.technique.partition)[0])

    @cached_property
    def photons(self) -> NDArray[np.float64]:
        """Photons per pixel of each bin, in the frames that are not left out, (n_roi,)."""
        counts = per_bin(self.reducer.photons()[None], self.technique.partition)[0]
        return np.asarray(counts / np.maximum(self.n_pixels, 1))

    @cached_property
    def counts_per_pixel(self) -> float:
        """Mean counts per pixel and frame."""
        mean = np.average(self.photons, weights=self.n_pixels)
        return float(mean / (self.n_frames - self.left_out.n_frames))

    @cached_property
    def maps(self) -> NDArray[np.float32]:
        """C2 of each bin, (n_roi, n, n), NaN in rows without a valid frame with a photon."""
        return self.reducer.maps()

    @cached_property
    def whole(self) -> NDArray[np.float32]:
        """The same with these rows filled."""
        return filled(self.maps)

    @cached_property
    def g2(self) -> G2:
        """Of each bin."""
        return self.correlator.result()

    @cached_property
    def cells(self) -> Cells | None:
        """Cells of the maps; None for those of many frames."""
        return None if self.n_frames >= MANY else Cells.of(self.reducer.operator.toarray())

    def pixel_noise(self, bins: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the noise of the profiles of bins (n,) by `pixel_noise`, (n, 64, 64)."""
        return np.array([pixel_noise(*self.reducer.cells_of(k, SIZE, MOST)) for k in bins])

    @cached_property
    def speckle_px(self) -> float:
        """Number of pixels that see the same speckle."""
        partition = self.technique.partition
        sizes = np.diff(partition.static_edges)  # within a sub-bin the profile of the scattering is nearly flat
        bins = np.repeat(np.arange(sizes.size), sizes)
        return speckle_px(self.reducer.means(SPECKLE_PIXELS), partition.shape, partition.pixels, bins)
