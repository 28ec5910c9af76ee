"""``python -m openbct`` is the command ``openbct``."""

from .cli import main

main()
