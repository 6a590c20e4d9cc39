"""Flows: lazy values that describe work with models; composed, run, streamed and drawn."""

# The map of this folder, lowest first:
#
#   _here          what the code of a node finds out about its run
#   _contents      Executables within containers
#   _node          Executable, Future, operators
#   _events        what observers of a run hear
#   _fold          what the pieces of a result come to
#   _signature     whether a function can stand in for another
#   _registry      what builtins are bound to
#   _scope         the run, and scopes within it
#   _execution     one execution of a node, and what it tells
#   _perform       … and how it is carried out
#   _pool          who is ready runs
#   _executable    @executable
#   _builtin       @builtin
#   builtins       generate_text and all others
#   _ask           how builtins ask models
#   _combine       parallel, serial, map_over, repeat, If, Box, with_registry
#   _through       through: a function of a result, and of what it has on the way
#   _samplers      Repeated, RoundRobin
#   _same          when two nodes are one
#   _graph         graphs: collected, ordered, rewritten
#   _passes        merge, drop, batch
#   _named         what may stand in saved graphs; _saved: written; _loaded: read
#   draw           drawings of graphs
#   dag            graphs as `POST /compose` has them
#   _log           what was told, and its readers' places in it
#   _run           a flow about to run
#   _wire_events   events as JSON messages; _sse: as server-sent events
#   _stream        what a reader of a run iterates
#   _text          concat, format, jinja, jq
#   _templates     where templates live
#   _jinja         … and how they run
#   _widths        … and what they may not
#   _held          … and what loops leave behind
#   _syntax        … and what is added to Jinja
#   _prompt        Prompt
#   compose        + of texts and calls of models

from llmmw.flow._ask import ask as ask
from llmmw.flow._builtin import Builtin as Builtin
from llmmw.flow._builtin import builtin as builtin
from llmmw.flow._combine import Box as Box
from llmmw.flow._combine import If as If
from llmmw.flow._combine import map_over as map_over
from llmmw.flow._combine import parallel as parallel
from llmmw.flow._combine import repeat as repeat
from llmmw.flow._combine import serial as serial
from llmmw.flow._combine import with_current_registry as with_current_registry
from llmmw.flow._combine import with_registry as with_registry
from llmmw.flow._evaluation import Evaluated as Evaluated
from llmmw.flow._evaluation import Evaluation as Evaluation
from llmmw.flow._evaluation import Metric as Metric
from llmmw.flow._evaluation import evaluate as evaluate
from llmmw.flow._evaluation import exact_match as exact_match
from llmmw.flow._events import Appended as Appended
from llmmw.flow._events import CallMade as CallMade
from llmmw.flow._events import FlowEvent as FlowEvent
from llmmw.flow._events import GraphResult as GraphResult
from llmmw.flow._events import NodeDelta as NodeDelta
from llmmw.flow._events import NodeError as NodeError
from llmmw.flow._events import NodeResult as NodeResult
from llmmw.flow._events import NodeStarted as NodeStarted
from llmmw.flow._events import Piece as Piece
from llmmw.flow._events import Placed as Placed
from llmmw.flow._events import Replaced as Replaced
from llmmw.flow._executable import executable as executable
from llmmw.flow._fold import NodeFold as NodeFold
from llmmw.flow._graph import Edge as Edge
from llmmw.flow._graph import Graph as Graph
from llmmw.flow._graph import Pass as Pass
from llmmw.flow._graph import merge as merge
from llmmw.flow._judge import judged as judged
from llmmw.flow._judge import judged_score as judged_score
from llmmw.flow._node import Executable as Executable
from llmmw.flow._node import Future as Future
from llmmw.flow._passes import BatchCalls as BatchCalls
from llmmw.flow._passes import Many as Many
from llmmw.flow._passes import batch as batch
from llmmw.flow._passes import batchable as batchable
from llmmw.flow._passes import drop as drop
from llmmw.flow._prompt import LanguageMismatch as LanguageMismatch
from llmmw.flow._prompt import Prompt as Prompt
from llmmw.flow._registry import Registry as Registry
from llmmw.flow._registry import copy_registry as copy_registry
from llmmw.flow._registry import registry as registry
from llmmw.flow._registry import reset_defaults as reset_defaults
from llmmw.flow._registry import set_registry as set_registry
from llmmw.flow._samplers import Repeated as Repeated
from llmmw.flow._samplers import RoundRobin as RoundRobin
from llmmw.flow._samplers import Sampler as Sampler
from llmmw.flow._sse import sse_event as sse_event
from llmmw.flow._stream import FlowStream as FlowStream
from llmmw.flow._stream import NodeStream as NodeStream
from llmmw.flow._stream import Reader as Reader
from llmmw.flow._templates import Environment as Environment
from llmmw.flow._text import concat as concat
from llmmw.flow._text import format as format  # noqa: A004
from llmmw.flow._text import jinja as jinja
from llmmw.flow._text import jq as jq
from llmmw.flow._through import through as through
from llmmw.flow._wire_events import MessageFold as MessageFold
from llmmw.flow._wire_events import fold_messages as fold_messages
from llmmw.flow.builtins.chat import chat as chat
from llmmw.flow.builtins.chat import instruct as instruct
from llmmw.flow.builtins.choose import Ranking as Ranking
from llmmw.flow.builtins.choose import rank as rank
from llmmw.flow.builtins.choose import ranking as ranking
from llmmw.flow.builtins.choose import score_text as score_text
from llmmw.flow.builtins.choose import select as select
from llmmw.flow.builtins.embed import embed as embed
from llmmw.flow.builtins.formats import FORMATTERS as FORMATTERS
from llmmw.flow.builtins.formats import Formatted as Formatted
from llmmw.flow.builtins.formats import Formatter as Formatter
from llmmw.flow.builtins.formats import Turn as Turn
from llmmw.flow.builtins.formats import truncate_reply as truncate_reply
from llmmw.flow.builtins.parameters import Common as Common
from llmmw.flow.builtins.parameters import Parameters as Parameters
from llmmw.flow.builtins.text import echo_text as echo_text
from llmmw.flow.builtins.text import generate as generate
from llmmw.flow.builtins.text import generate_content as generate_content
from llmmw.flow.builtins.text import generate_text as generate_text
from llmmw.flow.builtins.text import generate_texts as generate_texts
from llmmw.flow.builtins.tokens import count_tokens as count_tokens
from llmmw.flow.builtins.tokens import detokenize as detokenize
from llmmw.flow.builtins.tokens import tokenize as tokenize
from llmmw.flow.builtins.tools import call_tools as call_tools
from llmmw.flow.builtins.tools import converse as converse
from llmmw.flow.builtins.tools import run_tool as run_tool
from llmmw.flow.builtins.tools import use_tools as use_tools
from llmmw.flow.builtins.typed import generate_object as generate_object
from llmmw.flow.draw import draw as draw
from llmmw.flow.draw.link import from_link as from_link
from llmmw.flow.draw.link import to_link as to_link

__all__ = [
    "FORMATTERS",
    "Appended",
    "BatchCalls",
    "Box",
    "Builtin",
    "CallMade",
    "Common",
    "Edge",
    "Environment",
    "Evaluated",
    "Evaluation",
    "Executable",
    "FlowEvent",
    "FlowStream",
    "Formatted",
    "Formatter",
    "Future",
    "Graph",
    "GraphResult",
    "If",
    "LanguageMismatch",
    "Many",
    "MessageFold",
    "Metric",
    "NodeDelta",
    "NodeError",
    "NodeFold",
    "NodeResult",
    "NodeStarted",
    "NodeStream",
    "Parameters",
    "Pass",
    "Piece",
    "Placed",
    "Prompt",
    "Ranking",
    "Reader",
    "Registry",
    "Repeated",
    "Replaced",
    "RoundRobin",
    "Sampler",
    "Turn",
    "ask",
    "batch",
    "batchable",
    "builtin",
    "call_tools",
    "chat",
    "concat",
    "converse",
    "copy_registry",
    "count_tokens",
    "detokenize",
    "draw",
    "drop",
    "echo_text",
    "embed",
    "evaluate",
    "exact_match",
    "executable",
    "fold_messages",
    "from_link",
    "generate",
    "generate_content",
    "generate_object",
    "generate_text",
    "generate_texts",
    "instruct",
    "jinja",
    "jq",
    "judged",
    "judged_score",
    "map_over",
    "merge",
    "parallel",
    "rank",
    "ranking",
    "registry",
    "repeat",
    "reset_defaults",
    "run_tool",
    "score_text",
    "select",
    "serial",
    "set_registry",
    "sse_event",
    "through",
    "to_link",
    "tokenize",
    "truncate_reply",
    "use_tools",
    "with_current_registry",
    "with_registry",
]
