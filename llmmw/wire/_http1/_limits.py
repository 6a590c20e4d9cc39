"""What is read from a host at most."""

MOST_HEAD = 100 * 1024
"""Bytes of status line and headers with all that comes before them, and later of what stands around
the body. httpcore's bound."""
READ = 64 * 1024
"""Bytes that are taken off the line at once."""
TOGETHER = 64 * 1024
"""A body that is no longer goes out with its head in one piece."""
STALL = 120.0
"""Seconds that a host may take for one piece of a body that is sent in pieces: files have no
policy that looks after them."""
