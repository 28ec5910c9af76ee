"""A bone that gives way, in motion: its front and its cut, from unloaded to the state at its strength.

Stored is the last state only. What lies between is drawn by taking shares of its displacement and of its strain; the pictures of the
unloaded bone are drawn once and then moved in the plane of the picture, which costs next to nothing.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy import ndimage

from ..records import Array
from ..volume import to_patient
from .quantities import Moved, Quantity
from .views import CUT_STEP, Subject, cut_plane, sample

TALL: Final = 340
"""Height of a picture [pixels] [design]."""
ASPECT: Final = 0.95
"""Width over height of each of the two pictures [design]."""
STATES: Final = 9
"""From unloaded to the strength; shown there and back [design]."""
BEAT, REST = 90, 700
"""How long a state is shown, and the first and the last [ms] [design]."""
SEEN: Final = 0.1
"""Largest movement in a picture, over the height of the picture: larger would tear, smaller is not seen [design]."""
ROOM: Final = 0.74
"""Part of a picture that the unloaded bone takes; the rest is room to move [design]."""
COARSE: Final = 4
"""Movement is known at every so many pixels."""
SEARCHES: Final = 3
"""Steps of the fixed-point search for where a moved pixel came from."""
STEPS: Final = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)
"""Magnifications."""


@dataclass(frozen=True)
class Motion:
    """A bone in motion."""

    moving: bytes
    """Animated WebP."""
    still: bytes
    """WebP of the last state, for those who want no motion."""
    magnified: float
    """How many times larger than it is the movement is drawn [-]."""


@dataclass(frozen=True)
class _Stage:
    """One picture of the unloaded bone, and where its pixels go."""

    plain: Float[Array, "v u rgb"]
    strained: Float[Array, "v u rgb"]
    cover: Float[Array, "v u"]
    flow: Float[Array, "2 v1 u1"]
    """Of every :data:`COARSE`-th pixel, down and to the right [pixels]."""


def collapse(subject: Subject) -> Motion | None:
    """Return the bone in motion; ``None`` where no test has left a displacement and a failure."""
    moved, failure = subject.moved, subject.failure
    if moved is None or failure is None:
        return None
    scenes = [_front(subject, moved), _cut(subject, moved, failure)]
    farthest = max(float(np.hypot(*scene.flow).max()) for scene in scenes)
    if not farthest > 0.0:
        return None
    magnified = max((step for step in STEPS if step * farthest <= SEEN * TALL), default=1.0)
    states = [_state(scenes, magnified * share, share) for share in np.linspace(0.0, 1.0, STATES)]
    return Motion(_webp(states), _webp(states[-1:]), magnified)


def _front(subject: Subject, moved: Moved) -> _Stage:
    """Return the bone in three dimensions as its first view shows it."""
    scene = subject.scene
    assert scene.plain is not None
    motion = np.zeros((*scene.seen.hit.shape, 3))
    motion[scene.seen.hit] = moved.at(to_patient(subject.solid.affine, scene.seen.position))
    camera, strained = scene.camera, scene.pictures[[one.key for one in subject.quantities].index("failure")]
    return _scene(scene.plain, strained, motion, (camera.axes[:, 0], camera.axes[:, 1]), scene.plain.shape[0] / camera.height)


def _cut(subject: Subject, moved: Moved, failure: Quantity) -> _Stage:
    """Return the cut through the middle of the bone."""
    plane, right, up, inside = cut_plane(subject, ASPECT)
    strain = np.where(inside, sample(failure.cut, plane, failure.order), 0.0)
    pictures = []
    for values in (np.zeros_like(strain), strain):
        rgb = failure.surface.colours(values.ravel()).reshape(*values.shape, -1)[..., :3]
        pictures.append(np.concatenate([rgb, inside[..., None].astype(float)], axis=-1)[::-1])
    scene = _scene(pictures[0], pictures[1], moved.at(plane)[::-1], (right, up), 1.0 / CUT_STEP)
    # a cut is drawn with its outline, once it has the size that is shown
    edge = ndimage.gaussian_filter(scene.cover, 1.5)
    ink = 1.0 - 0.8 * np.exp(-(((edge - 0.5) / 0.22) ** 2))[..., None]
    return replace(scene, plain=scene.plain * ink, strained=scene.strained * ink, cover=np.clip(4.0 * edge - 1.2, 0.0, 1.0))


def _scene(
    plain: Float[Array, "v u rgba"],
    strained: Float[Array, "v u rgba"],
    motion: Float[Array, "v u 3"],
    axes: tuple[Float[Array, "3"], Float[Array, "3"]],
    scale: float,
) -> _Stage:
    """Return a picture with its flow, the bone in the middle of it; outside the bone pixels go with the nearest of it."""
    hit = plain[..., 3] > 0.5
    right, up = axes
    rows, columns = np.nonzero(hit)
    low, high = np.array([rows.min(), columns.min()]), np.array([rows.max(), columns.max()])
    step = float(max((high[0] - low[0]) / TALL, (high[1] - low[1]) / (TALL * ASPECT))) / ROOM
    shown = np.indices((TALL, round(TALL * ASPECT))).astype(float)
    where = [(low + high)[axis] / 2 + step * (shown[axis] - shown[axis].max() / 2) for axis in (0, 1)]
    # colours weighted by their cover, so that a rim takes none of the void's
    sharp = max(0.0, 0.5 * (step - 1.0))
    cover = ndimage.gaussian_filter(plain[..., 3], sharp)
    bands = [
        [ndimage.gaussian_filter(picture[..., band] * plain[..., 3], sharp) / np.maximum(cover, 1e-3) for band in range(3)]
        for picture in (plain, strained)
    ]
    first, last = (np.stack([_sized(band, where) for band in picture], axis=-1) for picture in bands)
    # the flow is smooth: a coarse one does
    coarse = tuple(slice(None, None, COARSE) for _ in range(2))
    down, across = (part[coarse] for part in ndimage.distance_transform_edt(~hit, return_distances=False, return_indices=True))
    flow = [part[down, across] * scale / step for part in (-(motion @ up), motion @ right)]
    thin = [part[coarse] / COARSE for part in where]
    return _Stage(first, last, _sized(cover, where, "constant"), np.stack([_sized(part, thin) for part in flow]))


def _sized(part: Array, where: list[Array], mode: str = "nearest") -> Array:
    """Return a picture at some places of it."""
    return np.asarray(ndimage.map_coordinates(part.astype(np.float32), where, order=1, mode=mode))


def _state(scenes: list[_Stage], magnified: float, share: float) -> Array:
    """Return both pictures, moved by so many times the displacement and with so much of the strain, as bytes."""
    drawn = []
    for scene in scenes:
        came = _origins(scene, magnified)
        colour = (1.0 - share) * scene.plain + share * scene.strained
        parts = _taken(np.concatenate([colour, scene.cover[..., None]], axis=-1).astype(np.float32), came)
        drawn.append(parts[..., :3] * parts[..., 3:] + (1.0 - parts[..., 3:]))
    return np.asarray(np.clip(np.concatenate(drawn, axis=1) * 255.0 + 0.5, 0, 255), dtype=np.uint8)


def _taken(picture: Float[Array, "v u bands"], where: list[Array]) -> Float[Array, "v u bands"]:
    """Return all bands of a picture at some places of it, linear between its pixels: its border is empty and goes on outside."""
    first, share = [], []
    for place, size in zip(where, picture.shape, strict=False):
        inside = np.clip(place, 0.0, size - 1.001).astype(np.float32)
        first.append(inside.astype(np.int32))
        share.append((inside - first[-1])[..., None])
    flat, wide = picture.reshape(-1, picture.shape[2]), picture.shape[1]
    corner = first[0] * wide + first[1]
    above = flat[corner] * (1 - share[1]) + flat[corner + 1] * share[1]
    below = flat[corner + wide] * (1 - share[1]) + flat[corner + wide + 1] * share[1]
    return np.asarray(above * (1 - share[0]) + below * share[0])


def _origins(scene: _Stage, magnified: float) -> list[Array]:
    """Return where each pixel of a moved picture was before."""
    shape = scene.flow.shape[1:]
    thin = np.indices(shape).astype(np.float32)
    shift = np.zeros_like(scene.flow)
    for _ in range(SEARCHES):
        here = list(thin - shift / COARSE)
        shift = magnified * np.stack([_sized(part, here) for part in scene.flow])
    full = np.indices(scene.cover.shape).astype(np.float32)
    places = list(full / COARSE)
    return list(full - np.stack([_sized(part, places) for part in shift]))


def _webp(states: list[Array]) -> bytes:
    """Return the states there and back, without end."""
    stream = io.BytesIO()
    frames = [Image.fromarray(state) for state in (*states, *states[-2:0:-1])]
    rests = [BEAT] * len(frames)
    rests[0] = rests[len(states) - 1] = REST
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:], duration=rests, loop=0, quality=80, method=1)
    return stream.getvalue()
