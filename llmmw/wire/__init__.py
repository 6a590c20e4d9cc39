"""The kit that providers over HTTP are made of: a way to a host, keys, server-sent events, and
tables that turn what hosts say into errors and limits."""

from llmmw._gbnf import choice_grammar as choice_grammar
from llmmw._gbnf import gbnf_escaped as gbnf_escaped
from llmmw._gbnf import gbnf_literal as gbnf_literal
from llmmw._secret import Secret as Secret
from llmmw._secret import guarded as guarded
from llmmw.wire._body import Body as Body
from llmmw.wire._body import multipart as multipart
from llmmw.wire._closed_schema import closed_schema as closed_schema
from llmmw.wire._errors import ErrorRow as ErrorRow
from llmmw.wire._event_stream import EventMessage as EventMessage
from llmmw.wire._event_stream import EventStreamDecoder as EventStreamDecoder
from llmmw.wire._event_stream import HeaderValue as HeaderValue
from llmmw.wire._http import Http as Http
from llmmw.wire._http1 import Http1Transport as Http1Transport
from llmmw.wire._json import dumps as dumps
from llmmw.wire._json import loads as loads
from llmmw.wire._json_array import JSONArrayDecoder as JSONArrayDecoder
from llmmw.wire._keys import Key as Key
from llmmw.wire._keys import KeyOption as KeyOption
from llmmw.wire._lines import HttpBatches as HttpBatches
from llmmw.wire._lines import packed as packed
from llmmw.wire._link import open_link as open_link
from llmmw.wire._losses import Losses as Losses
from llmmw.wire._ndjson import NDJSONDecoder as NDJSONDecoder
from llmmw.wire._provider import HttpProvider as HttpProvider
from llmmw.wire._reply import MOST_OF_A_FILE as MOST_OF_A_FILE
from llmmw.wire._reply import Reply as Reply
from llmmw.wire._reply import spare as spare
from llmmw.wire._sse import SSEDecoder as SSEDecoder
from llmmw.wire._sse import SSEEvent as SSEEvent

__all__ = [
    "MOST_OF_A_FILE",
    "Body",
    "ErrorRow",
    "EventMessage",
    "EventStreamDecoder",
    "HeaderValue",
    "Http",
    "Http1Transport",
    "HttpBatches",
    "HttpProvider",
    "JSONArrayDecoder",
    "Key",
    "KeyOption",
    "Losses",
    "NDJSONDecoder",
    "Reply",
    "SSEDecoder",
    "SSEEvent",
    "Secret",
    "choice_grammar",
    "closed_schema",
    "dumps",
    "gbnf_escaped",
    "gbnf_literal",
    "guarded",
    "loads",
    "multipart",
    "open_link",
    "packed",
    "spare",
]
