"""The command line: the only place that prints, and the only one that ends the process.

Exit status: 0 at least one bone was assessed · 1 a bug · 2 a wrong option or setting · 3 the input cannot be used, or every
bone was refused · 4 no model could be solved · 5 a result cannot be written · 6 some scans of a batch failed · 130 interrupted.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command ``openbct`` and exit with its documented status."""
    from .app import app

    try:
        app()
    except KeyboardInterrupt:
        _fail("interrupted; what was finished stays on disk", 130)
    except OSError as error:
        _fail(f"the system says {error.strerror or 'an input/output error'}; check paths, permissions and free space", 5)
    except Exception as error:
        from ..errors import OpenBCTError

        if os.environ.get("OPENBCT_DEBUG"):
            raise
        if isinstance(error, OpenBCTError):
            _fail(str(error), error.exit_code)
        # The text of a foreign exception may quote the patient: only its kind is shown.
        _fail(f"internal error ({type(error).__name__}): this is a bug; set OPENBCT_DEBUG=1 to see where, and report it", 1)


def _fail(text: str, status: int) -> None:
    print(f"openbct: {text}", file=sys.stderr)
    sys.exit(status)
