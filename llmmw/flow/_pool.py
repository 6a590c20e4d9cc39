"""Runs the nodes that somebody waits for, and all that they need, in tasks of one nursery.

A node is an *entry* of its scope, which belongs to the pool that is to run it. A pool takes over
what another has not begun, and gives back what it has not begun when it ends. So no pool waits
for a free worker of another one, and nested waiting can't lock up.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Any

import trio

from llmmw._tasks import open_nursery, unstopped
from llmmw.flow._entry import DONE, RUNNING, WAITING, Entry, mark, raised, settled
from llmmw.flow._events import NodeError
from llmmw.flow._execution import Execution
from llmmw.flow._node import Executable
from llmmw.flow._perform import perform
from llmmw.flow._registry import in_force
from llmmw.flow._scope import Scope

__all__ = ["evaluate", "settle"]

_BREATH = 64
"""So many nodes are done in one go before other tasks have their turn."""
_LEVELS = 16
"""So many levels of nodes that run others share the stack of one task; Python bounds each."""
_DEEPEST = 10_000
"""More levels than this are taken for a recursion without an end."""


async def evaluate(scope: Scope, nodes: Iterable[Executable[Any]], **options: Any) -> None:
    """Run nodes. The first error ends all that runs for them and is raised.

    Args:
        scope: where.
        nodes: which; what each came to is in the scope then.
        options: `parent`, the execution that waits; `limit`, how many at once at most.
    """
    pool = _Pool(scope, keep=False, **options)
    await pool.run(nodes)
    if pool.failure is not None:
        raise pool.failure


async def settle(
    scope: Scope, nodes: Iterable[Executable[Any]], **options: Any
) -> list[Any | Exception]:
    """Run nodes whatever becomes of some; the value or the error of each."""
    several = list(nodes)
    await _Pool(scope, keep=True, **options).run(several)
    entries: list[Entry] = [scope.entries[one.number] for one in several]
    return [one.value if one.error is None else one.error for one in entries]


class _Pool:
    def __init__(
        self, scope: Scope, *, keep: bool, parent: Execution | None = None, limit: int | None = None
    ) -> None:
        self._scope = scope
        self._parent = parent
        self._depth = 1 if parent is None else parent.depth + 1
        self._limit = limit or scope.run.concurrency
        self._keep = keep
        self._ready: deque[Entry] = deque()
        self._mine: dict[Entry, None] = {}
        self._left = 0
        self._workers = 0
        self._coming = 0  # workers that have not begun
        self._shared: list[Entry] = []
        """What others run, and we wait for."""
        self._nursery: trio.Nursery | None = None
        self._cancel = trio.CancelScope()
        self._wake: trio.Event | None = None
        self._breath = _BREATH
        self.ended = False
        self.failure: Exception | None = None

    async def run(self, nodes: Iterable[Executable[Any]]) -> None:
        """Run the nodes; afterwards `failure` has the error that ended it."""
        if self._depth > _DEEPEST:
            raise RecursionError(f"nodes run one another more than {_DEEPEST:,} deep")
        outer = in_force.set(self._scope.registry)
        roots: list[Entry] = []
        try:
            roots = self._claim(nodes)
            with self._cancel:
                await (self._work() if self._depth % _LEVELS else self._work_apart())
        finally:
            in_force.reset(outer)
            self._release(roots)

    def _entry(self, node: Executable[Any]) -> Entry:
        entries = self._scope.entries
        entry: Entry | None = entries.get(node.number)
        if entry is None:
            forget = partial(entries.pop, node.number)
            entry = entries[node.number] = Entry(node, weakref.ref(node, forget))
        return entry

    def _claim(self, nodes: Iterable[Executable[Any]]) -> list[Entry]:
        """Take over the nodes, and all that they need, which nobody has begun."""
        roots = [self._entry(one) for one in dict.fromkeys(nodes)]
        stack = roots[::-1]
        while stack:
            entry = stack.pop()
            if entry.state == DONE or entry.pool is self:
                continue
            if entry.state == RUNNING:
                self._check_no_cycle(entry)
                entry.wanted_by.append(self)
                self._shared.append(entry)
                continue
            if entry.pool is not None:
                entry.wanted_by.append(entry.pool)
            entry.pool = self
            self._mine[entry] = None
            assert entry.node is not None
            stack.extend(map(self._entry, reversed(entry.node.inputs)))
        for entry in self._mine:
            self._link(entry)
        for entry in roots:
            if entry.state == DONE:
                self._note(entry)
            else:
                entry.awaited_by.append(self)
                self._left += 1
        return roots

    def _check_no_cycle(self, entry: Entry) -> None:
        """Go back from who waits for us to who waits for those, and so on."""
        stack: list[Any] = [self]
        seen: set[Any] = set()
        while stack:
            pool = stack.pop()
            if pool in seen:
                continue
            seen.add(pool)
            waiting = pool._parent  # noqa: SLF001 (another of this class)
            while waiting is not None:
                held: Entry = waiting.scope.entries[waiting.node.number]
                if held is entry:
                    raise RuntimeError(f"{waiting.node.id} waits for itself")
                stack.extend(held.wanted_by)
                waiting = waiting.parent

    def _link(self, entry: Entry) -> None:
        """Have it counted down by its inputs; it may be ready at once."""
        if entry.state == DONE:
            return  # failed by an input that was linked before
        if entry.missing < 0:
            entry.missing = 0
            assert entry.node is not None
            for one in entry.node.inputs:
                needed: Entry = self._scope.entries[one.number]
                if needed.state != DONE:
                    entry.missing += 1
                    needed.dependents.append(entry)
                elif needed.error is not None:
                    self._fail(entry, needed.error)
                    return
        if entry.missing == 0:
            self._ready.append(entry)

    async def _work(self) -> None:
        while self._left:
            if len(self._ready) > 1 or self._shared:
                await self._work_together()
            elif self._ready:
                # One after another: no nursery is needed.
                await self._one(self._ready.popleft())
            else:
                await self._sleep()

    async def _work_apart(self) -> None:
        """In a task of its own, whose stack is empty."""
        async with open_nursery() as nursery:
            nursery.start_soon(self._work)

    async def _work_together(self) -> None:
        """This task is a worker, too; others are hired where there is work for them."""
        async with open_nursery() as self._nursery:
            try:
                self._hire(1)
                while self._left:
                    if self._ready:
                        await self._one(self._ready.popleft())
                    else:
                        await self._sleep()
            finally:
                nursery, self._nursery = self._nursery, None
            nursery.cancel_scope.cancel()

    async def _sleep(self) -> None:
        self._wake = trio.Event()
        try:
            await self._wake.wait()
        finally:
            self._wake = None

    async def _worker(self) -> None:
        self._coming -= 1
        try:
            while self._ready:
                await self._one(self._ready.popleft())
        finally:
            self._workers -= 1

    def _hire(self, taken: int) -> None:
        """Workers for what is ready, all at once and within the limit; so much of it is taken by
        those that work already."""
        nursery = self._nursery
        while nursery is not None and self._coming < len(self._ready) - taken:
            if self._workers >= self._limit - 1:
                break
            self._workers += 1
            self._coming += 1
            nursery.start_soon(self._worker)

    async def _one(self, entry: Entry) -> None:
        self._breath -= 1
        if not self._breath:
            self._breath = _BREATH
            await trio.lowlevel.checkpoint()
        node = entry.node
        wanted = entry.pool is self and entry.state == WAITING and self.failure is None
        if node is None or not wanted:
            return  # taken over, failed, or not wanted any more
        entry.state = RUNNING
        try:
            value = await perform(self._execution(node))
        except Exception as error:
            error = unstopped(error)
            error.add_note(f"in {node.id}")
            self._done(entry, None, error)
        except BaseException:
            entry.state = WAITING
            raise
        else:
            self._done(entry, value, None)

    def _done(self, entry: Entry, value: Any, error: Exception | None) -> None:
        entry.value = value
        if error is not None:
            self._fail(entry, error)
            return
        for dependent in settled(entry, None):
            pool = dependent.pool
            if dependent.missing or dependent.state != WAITING or pool is None:
                continue
            if pool is self:
                self._ready.append(dependent)
            else:
                pool.offer(dependent)
        self._hire(1)

    def _fail(self, entry: Entry, error: Exception) -> None:
        """It has failed; and so has what needs it, and so on down."""
        stack = [entry]
        while stack:
            failed = stack.pop()
            if failed.state == DONE:
                continue
            if failed.state == WAITING:
                self._tell_derived(failed, error)
                failed.raised = mark(error)
            stack.extend(settled(failed, error))

    def _tell_derived(self, entry: Entry, error: Exception) -> None:
        run, node = self._scope.run, entry.node
        if run.hear is not None and node is not None:
            named = self._execution(node).named()
            parent = self._parent.key if self._parent is not None else None
            now = trio.current_time()
            run.hear(NodeError(**named, error=error, derived=True, parent=parent, at=now))

    def _execution(self, node: Executable[Any]) -> Execution:
        key = next(self._scope.run.keys)
        return Execution(self._scope, node, self._parent, self._depth, key, _wait_nested)

    def offer(self, entry: Entry) -> None:
        """An entry of ours is ready, by the work of another pool."""
        self._ready.append(entry)
        if self._wake is not None:
            self._wake.set()
            self._hire(1)
        else:
            self._hire(0)

    def inherit(self, entry: Entry) -> None:
        """An entry that another pool has left is ours now."""
        entry.pool = self
        self._mine[entry] = None
        entry.wanted_by.remove(self)
        if not entry.missing:
            self.offer(entry)

    def _note(self, root: Entry) -> None:
        """One of those that are waited for is done."""
        if root.error is not None and not self._keep and self.failure is None:
            self.failure = raised(root)
            self._cancel.cancel()

    def root_done(self, root: Entry) -> None:
        self._left -= 1
        self._note(root)
        if not self._left and self._wake is not None:
            self._wake.set()

    def _release(self, roots: list[Entry]) -> None:
        """Leave what was not begun to another pool that wants it."""
        self.ended = True
        for entry in roots:
            if self in entry.awaited_by:
                entry.awaited_by.remove(self)
        for entry in chain(self._shared, self._mine):
            if self in entry.wanted_by:
                entry.wanted_by.remove(self)
            if entry.state == WAITING and entry.pool is self:
                entry.pool = None
                heirs = [pool for pool in entry.wanted_by if not pool.ended]
                if heirs:
                    heirs[0].inherit(entry)


async def _wait_nested(execution: Execution, node: Executable[Any]) -> Any:
    """What `await e` does in the code of a node."""
    scope = execution.scope.under(in_force.get())
    done: Entry | None = scope.entries.get(node.number)
    if done is None or done.state != DONE or done.error is not None:
        await evaluate(scope, (node,), parent=execution)
        done = scope.entries[node.number]
    return done.value
