"""Graphs as `POST /compose` has them: run here, or by an endpoint that speaks it.

_nodes      the classes of nodes, and what carries them out here
_carried    one execution of such a node: again after errors, and not again within an age
_write      to_dag: JSON of Executables
_read       from_dag: Executables of JSON
_response   what an endpoint answers
_stream     what it tells as the graph goes on
_headers    what a request says of itself
_endpoint   ComposeEndpoint
"""

from llmmw.flow.dag._endpoint import ComposeEndpoint as ComposeEndpoint
from llmmw.flow.dag._headers import compose_headers as compose_headers
from llmmw.flow.dag._headers import request_id_in as request_id_in
from llmmw.flow.dag._headers import secret_headers as secret_headers
from llmmw.flow.dag._nodes import BatchComputeJSON as BatchComputeJSON
from llmmw.flow.dag._nodes import BatchComputeText as BatchComputeText
from llmmw.flow.dag._nodes import Box as Box
from llmmw.flow.dag._nodes import ComputeJSON as ComputeJSON
from llmmw.flow.dag._nodes import ComputeText as ComputeText
from llmmw.flow.dag._nodes import EmbedText as EmbedText
from llmmw.flow.dag._nodes import Experimental as Experimental
from llmmw.flow.dag._nodes import If as If
from llmmw.flow.dag._nodes import MultiComputeJSON as MultiComputeJSON
from llmmw.flow.dag._nodes import MultiComputeText as MultiComputeText
from llmmw.flow.dag._nodes import MultiEmbedText as MultiEmbedText
from llmmw.flow.dag._nodes import Node as Node
from llmmw.flow.dag._nodes import Output as Output
from llmmw.flow.dag._read import from_dag as from_dag
from llmmw.flow.dag._response import ComposeResponse as ComposeResponse
from llmmw.flow.dag._response import NodeFailed as NodeFailed
from llmmw.flow.dag._response import is_failure as is_failure
from llmmw.flow.dag._stream import ComposeStream as ComposeStream
from llmmw.flow.dag._write import node_id as node_id
from llmmw.flow.dag._write import to_dag as to_dag

__all__ = [
    "BatchComputeJSON",
    "BatchComputeText",
    "Box",
    "ComposeEndpoint",
    "ComposeResponse",
    "ComposeStream",
    "ComputeJSON",
    "ComputeText",
    "EmbedText",
    "Experimental",
    "If",
    "MultiComputeJSON",
    "MultiComputeText",
    "MultiEmbedText",
    "Node",
    "NodeFailed",
    "Output",
    "compose_headers",
    "from_dag",
    "is_failure",
    "node_id",
    "request_id_in",
    "secret_headers",
    "to_dag",
]
