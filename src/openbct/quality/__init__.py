"""What the image itself says of how it was made: noise, movement, metal, contrast agent, the field, the size of the body."""

from .examine import examine

__all__ = ["examine"]
