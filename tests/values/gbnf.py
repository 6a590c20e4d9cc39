"""Reads grammars in GBNF: which texts they accept, and some of those texts."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

Node = tuple[Any, ...]
_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|[a-z0-9-]+|\{\d+(?:,\d*)?\}|[()|*?+]', re.DOTALL
)
_ESCAPE = re.compile(r"\\(?:x([0-9A-F]{2})|U([0-9A-F]{8})|(.))", re.DOTALL)


def _plain(text: str) -> str:
    def sign(found: re.Match[str]) -> str:
        code = found[1] or found[2]
        return chr(int(code, 16)) if code else {"n": "\n"}.get(found[3], found[3])

    return _ESCAPE.sub(sign, text)


class Grammar:
    def __init__(self, text: str) -> None:
        self.rules: dict[str, Node] = {}
        for line in text.split("\n"):
            name, _, body = line.partition(" ::= ")
            assert name not in self.rules
            tokens = _TOKEN.findall(body)
            assert "".join(tokens).replace(" ", "") == body.replace(" ", ""), body
            self.rules[name] = _either(tokens)
            assert not tokens, tokens
        self.depths = self._depths()

    def accepts(self, text: str) -> bool:
        return any(end == len(text) for end in self._ends(("rule", "root"), text, 0))

    def sample(self, source: random.Random) -> str:
        return self._some(("rule", "root"), source, 0)

    def _ends(self, node: Node, text: str, at: int) -> Iterator[int]:
        kind = node[0]
        if kind == "text":
            if text.startswith(node[1], at):
                yield at + len(node[1])
        elif kind == "class":
            if at < len(text) and re.fullmatch(node[1], text[at]):
                yield at + 1
        elif kind == "rule":
            yield from self._ends(self.rules[node[1]], text, at)
        elif kind == "either":
            for one in node[1]:
                yield from self._ends(one, text, at)
        elif kind == "row":
            yield from self._row(node[1], text, at)
        else:
            yield from self._times(node, text, at, 0)

    def _row(self, nodes: list[Node], text: str, at: int) -> Iterator[int]:
        if not nodes:
            yield at
            return
        for end in self._ends(nodes[0], text, at):
            yield from self._row(nodes[1:], text, end)

    def _times(self, node: Node, text: str, at: int, count: int) -> Iterator[int]:
        _, inner, least, most = node
        if count >= least:
            yield at
        if count < most:
            for end in self._ends(inner, text, at):
                if end > at:
                    yield from self._times(node, text, end, count + 1)

    def _depths(self) -> dict[str, float]:
        depths = dict.fromkeys(self.rules, float("inf"))
        for _ in self.rules:
            for name, node in self.rules.items():
                depths[name] = 1 + self._depth(node, depths)
        assert max(depths.values()) < float("inf"), "a rule that never ends"
        return depths

    def _depth(self, node: Node, depths: dict[str, float]) -> float:
        if node[0] == "rule":
            return depths[node[1]]
        if node[0] == "either":
            return min(self._depth(one, depths) for one in node[1])
        if node[0] == "row":
            return max((self._depth(one, depths) for one in node[1]), default=0)
        return 0 if node[0] != "times" or node[2] == 0 else self._depth(node[1], depths)

    def _some(self, node: Node, source: random.Random, depth: int) -> str:
        kind, inner = node[0], node[1]
        if kind == "text":
            return str(inner)
        if kind == "class":
            while True:
                sign = chr(source.choice([source.randrange(32, 127), source.randrange(0x4000)]))
                if re.fullmatch(inner, sign):
                    return sign
        if kind == "rule":
            return self._some(self.rules[inner], source, depth + 1)
        if kind == "either":
            deep = min(inner, key=lambda one: self._depth(one, self.depths))
            return self._some(deep if depth > 12 else source.choice(inner), source, depth)
        if kind == "row":
            return "".join(self._some(one, source, depth) for one in inner)
        least, most = node[2], min(node[3], node[2] + 3)
        count = least if depth > 12 else source.randint(least, most)
        return "".join(self._some(inner, source, depth) for _ in range(count))


def _either(tokens: list[str]) -> Node:
    rows = [_row(tokens)]
    while tokens and tokens[0] == "|":
        tokens.pop(0)
        rows.append(_row(tokens))
    return ("either", rows)


def _row(tokens: list[str]) -> Node:
    nodes: list[Node] = []
    while tokens and tokens[0] not in {"|", ")"}:
        nodes.append(_times(_one(tokens), tokens))
    return ("row", nodes)


def _one(tokens: list[str]) -> Node:
    token = tokens.pop(0)
    if token == "(":
        inner = _either(tokens)
        assert tokens.pop(0) == ")"
        return inner
    if token[0] == '"':
        return ("text", _plain(token[1:-1]))
    if token[0] == "[":
        return ("class", token)
    assert re.fullmatch("[a-z0-9-]+", token), token
    return ("rule", token)


def _times(node: Node, tokens: list[str]) -> Node:
    sign = tokens[0] if tokens else ""
    if sign not in {"*", "?", "+"} and not sign.startswith("{"):
        return node
    tokens.pop(0)
    if sign[0] == "{":
        least, comma, most = sign[1:-1].partition(",")
        most = most if comma else least
        return ("times", node, int(least), int(most) if most else 10**9)
    bounds = {"*": (0, 10**9), "?": (0, 1), "+": (1, 10**9)}
    return ("times", node, *bounds[sign])
