"""The pictures of the documentation: a real node, a fleet at work on it, and a browser without a window that looks."""
