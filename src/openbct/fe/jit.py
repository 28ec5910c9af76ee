"""How the kernels are compiled: once per machine, without the interpreter lock, and never in parallel behind the caller's back.

The machine code is kept beside the package, or in the user's cache folder where that cannot be written (Numba's own rule). Where
neither can, it is compiled anew in every process. An emitted function (:func:`emitted`) is part of the kernels that call it: after
changing one while developing, delete the ``__pycache__`` of its callers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.extending import intrinsic

Function = Callable[..., Any]


def kernel(*, sums: bool = False, part: bool = False, inner: bool = False) -> Callable[[Function], Function]:
    """Decorator that compiles a function.

    With ``sums`` it may reorder additions, so that dot products use vectors. A ``part`` is compiled with its callers only, which
    saves the time of compiling it on its own. An ``inner`` one is called by compiled functions only.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "no_cpython_wrapper": inner}
    if part:
        options["inline"] = "always"
    if sums:
        options["fastmath"] = {"reassoc", "contract"}

    def decorate(function: Function) -> Function:
        try:
            compiled: Function = numba.njit(function, cache=True, **options)
        except RuntimeError:
            compiled = numba.njit(function, **options)
        return compiled

    return decorate


def emitted(function: Function) -> Function:
    """Decorator for a function that writes its own LLVM instructions."""
    compiled: Function = intrinsic(function)
    return compiled
