"""Stores: bytes by key, behind a policy; one place to keep them a file."""

from llmmw.stores.layers import Layers as Layers
from llmmw.stores.memory import MemoryStore as MemoryStore
from llmmw.stores.sqlite import SqliteStore as SqliteStore

__all__ = ["Layers", "MemoryStore", "SqliteStore"]
