"""What is added to Jinja's syntax and to what it compiles.

`{% section %}` and `{% role %}` become calls, so that what is between is given piece by piece.
Loops, macros, blocks and includes call what counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import TemplateAssertionError, nodes
from jinja2.compiler import CodeGenerator
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.visitor import NodeTransformer

__all__ = ["Blocks", "Code", "Counted"]


class Blocks(Extension):
    """`{% section %}` and `{% role %}`."""

    tags = {"section", "role"}  # noqa: RUF012 (as Jinja has it)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        token = next(parser.stream)
        arguments: list[nodes.Expr] = []
        named: list[nodes.Keyword] = []
        while parser.stream.current.type != "block_end":
            if arguments or named:
                parser.stream.expect("comma")
            current = parser.stream.current
            if current.type == "name" and parser.stream.look().type == "assign":
                parser.stream.skip(2)
                named.append(nodes.Keyword(current.value, parser.parse_expression()))
            else:
                arguments.append(parser.parse_expression())
        body = parser.parse_statements((f"name:end{token.value}",), drop_needle=True)
        place, tag = token.lineno, token.value
        _before_leaving(body, lambda: _statement(f"{tag}_end", place))
        start = _statement(f"{tag}_start", place, arguments, named)
        return [start, *body, _statement(f"{tag}_end", place)]


def _before_leaving(body: list[nodes.Node], end: Callable[[], nodes.Node]) -> None:
    """Have a `break` or `continue` out of a block end it."""
    for place in reversed(range(len(body))):
        one = body[place]
        if isinstance(one, (nodes.Break, nodes.Continue)):
            body.insert(place, end())
        elif not isinstance(one, nodes.For):
            for _, value in one.iter_fields():
                if isinstance(value, list) and all(isinstance(x, nodes.Node) for x in value):
                    _before_leaving(value, end)


def _called(name: str, arguments: list[Any], named: list[Any] | None = None) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), arguments, named or [], None, None)


def _statement(
    name: str, line: int, arguments: list[Any] | None = None, named: list[Any] | None = None
) -> nodes.Node:
    return nodes.ExprStmt(_called(name, arguments or [], named)).set_lineno(line)


_GATHERING = (
    *(nodes.Macro, nodes.CallBlock, nodes.AssignBlock, nodes.FilterBlock),
    nodes.For,  # those that are recursive
)


def _check_no_blocks(node: nodes.Node) -> None:
    """Refuse sections and roles where nothing is given piece by piece: they would be empty.

    Raises:
        TemplateAssertionError: if there are any.
    """
    for call in node.find_all(nodes.EnvironmentAttribute):
        if call.name.endswith(("_start", "_end")):
            message = "a section or role can't be in a macro, call, set, filter or recursive loop"
            raise TemplateAssertionError(message, node.lineno)


class Counted(NodeTransformer):
    """Puts the calls that count into a template."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """Visit what is in a node."""
        if isinstance(node, _GATHERING) and getattr(node, "recursive", True):
            _check_no_blocks(node)
        return super().generic_visit(node, *args, **kwargs)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.body.insert(0, _statement("tick", node.lineno))
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.body.insert(0, _statement("tick", node.lineno))
        return node

    def visit_Block(self, node: nodes.Block) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.body.insert(0, _statement("tick", node.lineno))
        return node

    def visit_Include(self, node: nodes.Include) -> list[nodes.Node]:  # noqa: N802
        line = node.lineno
        return [_statement("enter", line), node, _statement("leave", line)]

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _called("joined", node.nodes).set_lineno(node.lineno)


class Code(CodeGenerator):
    """Has the generators held that loops with an `if` are."""

    def func(self, name: str) -> str:
        """The beginning of a function; those of loops with an `if` are generators."""
        begun = super().func(name)
        if not name.startswith("t_"):
            return begun
        return f"@environment.held\n{'    ' * self._indentation}{begun}"
