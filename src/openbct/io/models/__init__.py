"""Models for other solvers, and what they answer."""
