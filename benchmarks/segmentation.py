"""Time and memory of finding the lumbar spine and both hips in a large scan.

python benchmarks/segmentation.py SCAN [--shape 512 512 400]

The scan is brought by nearest neighbour to the given number of voxels in its own field, so that a small public scan stands for a large one.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from openbct.errors import SegmentationError
from openbct.io import read_scan
from openbct.segmentation import BuiltIn
from openbct.volume import Volume

LUMBAR = ("T12", "L1", "L2", "L3", "L4", "L5")


def enlarged(image: Volume, shape: tuple[int, int, int]) -> Volume:
    """Return the image with as many voxels as asked for, in 16-bit integers."""
    index = [np.minimum(np.arange(n) * old // n, old - 1) for n, old in zip(shape, image.shape, strict=True)]
    factors = np.array(image.shape) / np.array(shape)
    affine = image.affine.copy()
    affine[:3, :3] = image.affine[:3, :3] * factors
    affine[:3, 3] += image.affine[:3, :3] @ ((factors - 1) / 2)
    return Volume(image.array[np.ix_(*index)].astype(np.int16), affine, image.unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 400))
    asked = parser.parse_args()
    scan = read_scan(asked.scan)
    large = replace(scan, image=enlarged(scan.image, tuple(asked.shape)))
    for name, bones in (("lumbar spine", LUMBAR), ("hips", ("femur_left", "femur_right"))):
        wall, processor = time.perf_counter(), time.process_time()
        try:
            found = ", ".join(BuiltIn(bones)(large).bones)
        except SegmentationError as error:
            found = f"none: {error}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(
            f"{name}: {time.perf_counter() - wall:.1f} s, {time.process_time() - processor:.1f} s of processor, peak {peak:.2f} GB; {found}"
        )


if __name__ == "__main__":
    main()
