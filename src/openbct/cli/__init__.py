"""The command line: the only place that prints, and the only one that ends the process.

Exit status: 0 at least one bone was assessed · 1 a bug · 2 a wrong option or setting · 3 the input cannot be used, or every
bone was refused · 4 no model could be solved · 5 a result cannot be written · 6 some scans of a batch failed · 130 interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys

__all__ = ["INTERRUPTED", "Interrupted", "main"]

INTERRUPTED = "interrupted; what was finished stays on disk"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""What the system says where nothing can be written; its other words are about reading."""


class Interrupted(Exception):
    """Ctrl-C, on its way past the option parser, which would end the process without a word of ours."""


def main() -> None:
    """Run the command ``openbct`` and exit with its documented status."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without "³" is no reason to fail
    try:
        from .app import app

        app()
    except (KeyboardInterrupt, Interrupted):
        _fail(INTERRUPTED, 130)
    except Exception as error:
        from ..errors import OpenBCTError

        if isinstance(error, OpenBCTError):
            if os.environ.get("OPENBCT_DEBUG"):
                raise
            _fail(str(error), error.exit_code)
        if os.environ.get("OPENBCT_DEBUG"):
            raise
        if isinstance(error, OSError):
            said = error.strerror or "an input/output error"
            _fail(f"the system says {said!r}; check paths, permissions and free space", 5 if error.errno in NO_ROOM else 3)
        if isinstance(error, MemoryError):
            _fail("found too little memory for this scan; crop the scan to the bones, or use a machine with more", 3)
        # The text of a foreign exception may quote the patient: only its kind is shown.
        _fail(f"internal error ({type(error).__name__}): this is a bug; set OPENBCT_DEBUG=1 to see where, and report it", 1)


def _fail(text: str, status: int) -> None:
    print(f"openbct: {text}", file=sys.stderr)
    sys.exit(status)
