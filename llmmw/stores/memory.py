"""A store in memory, which forgets what was used least, and all of it when the program ends."""

from llmmw._memory import MemoryStore as MemoryStore

__all__ = ["MemoryStore"]
