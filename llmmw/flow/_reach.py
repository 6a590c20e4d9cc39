"""Which attributes of a value flows and templates may take: those that are of its data."""

from __future__ import annotations

__all__ = ["reachable"]


def reachable(value: object, name: str) -> bool:
    """Whether a future, or a template, may take an attribute of a value.

    Both may come from strangers. So nothing is taken of what binds and makes flows, but for the
    names in its `__reachable__`; and of no value of ours what makes another one, as `from_file`.
    """
    kind = value if isinstance(value, type) else type(value)
    known = getattr(kind, "__reachable__", None)
    if known is not None:
        return name in known
    for one in kind.__mro__:
        if name in one.__dict__:
            is_ours = one.__module__.partition(".")[0].startswith("llmmw")
            return not (is_ours and isinstance(one.__dict__[name], (classmethod, staticmethod)))
    return True
