"""What a run did, as a tree of nodes and calls: as text, as JSON, and as a page to read."""

from llmmw.flow.trace._tree import Trace as Trace
from llmmw.flow.trace._tree import TracedCall as TracedCall
from llmmw.flow.trace._tree import TracedNode as TracedNode

__all__ = ["Trace", "TracedCall", "TracedNode"]
