"""Line integrals through coarse slices, and filtered back-projection, as one sparse matrix: for errors that vary over centimetres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy import fft, sparse

from ..records import Array

VIEWS = 90
"""Over half a turn: one each two degrees [design]."""


@dataclass(frozen=True)
class Reprojection:
    """Parallel rays through pixels; slices are ``(i j)``, flattened, one a column."""

    shape: tuple[int, int]
    edges: tuple[float, float]
    """Of a pixel, along i and j [cm]."""
    views: int = VIEWS

    @property
    def apart(self) -> float:
        """Distance of the rays [cm]."""
        return max(self.edges)

    @property
    def n_places(self) -> int:
        """Rays of a view: as many as pixels along the diagonal."""
        return int(np.ceil(np.hypot(self.shape[0] * self.edges[0], self.shape[1] * self.edges[1]) / self.apart)) + 3

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """Rays by pixels [cm]: each pixel is shared between its two nearest rays."""
        middle = [edge / self.apart * (np.arange(n) - (n - 1) / 2) for n, edge in zip(self.shape, self.edges)]
        i, j = np.meshgrid(*middle, indexing="ij")
        pixels = np.arange(i.size)
        rows, columns, values = [], [], []
        for view, angle in enumerate(self.angles):
            at = (i * np.cos(angle) + j * np.sin(angle)).ravel() + (self.n_places - 1) / 2
            low = np.floor(at).astype(int)
            share = at - low
            for place, weight in ((low, 1 - share), (low + 1, share)):
                rows.append(view * self.n_places + place)
                columns.append(pixels)
                values.append(weight * self.edges[0] * self.edges[1] / self.apart)
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return sparse.csr_matrix(entries, shape=(self.views * self.n_places, i.size), dtype=np.float32)

    @property
    def angles(self) -> Float[Array, " a"]:
        """Of the views; off the axes by half a step, where pixels and rays would fall together."""
        return np.asarray(np.pi * (np.arange(self.views) + 0.5) / self.views)

    def project(self, slices: Float[Array, "p k"]) -> Float[Array, "r k"]:
        """Return the integrals along every ray [unit of the slices x cm]."""
        return np.asarray(self.matrix @ slices)

    def reconstruct(self, integrals: Float[Array, "r k"]) -> Float[Array, "p k"]:
        """Return the slices whose integrals these are: ramp filter, smoothed by a Hann window, and back-projection."""
        count = 2 * fft.next_fast_len(self.n_places)
        # The ramp as the transform of its own samples, which keeps the level of large objects (Ramachandran & Lakshminarayanan 1971 [recalled]).
        kernel = np.zeros(count)
        odd = np.arange(1, count // 2, 2)
        kernel[0], kernel[odd], kernel[-odd] = 0.25, -1 / (np.pi * odd) ** 2, -1 / (np.pi * odd) ** 2
        window = np.fft.rfft(kernel).real * 0.5 * (1 + np.cos(np.pi * np.linspace(0, 1, count // 2 + 1)))
        views = integrals.reshape(self.views, self.n_places, -1)
        filtered = fft.irfft(fft.rfft(views, count, axis=1) * window[None, :, None], count, axis=1)[:, : self.n_places]
        smeared = self.matrix.T @ filtered.reshape(integrals.shape).astype(np.float32)
        return np.asarray(smeared * (np.pi / self.views / (self.edges[0] * self.edges[1])))
