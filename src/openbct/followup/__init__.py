"""Follow-up: the same bones of one person at several dates, and whether they changed."""

from .follow import follow
from .visit import visit_of

__all__ = ["follow", "visit_of"]
