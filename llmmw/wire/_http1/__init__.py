"""HTTP/1.1 straight over trio's streams: for direct connections, where speed counts.

::

    _transport   as an `httpx.AsyncBaseTransport`
    _pool        connections that are kept, and who gets one
    _connection  one connection: an exchange at a time
    _dial        making one
    _line, _tls  its bytes, plain and under TLS
    _request     one request to bytes
    _parse       bytes to one answer
"""

from llmmw.wire._http1._connection import Answer as Answer
from llmmw.wire._http1._limits import Times as Times
from llmmw.wire._http1._pool import Pool as Pool
from llmmw.wire._http1._request import NOT_HERE as NOT_HERE
from llmmw.wire._http1._request import Origin as Origin
from llmmw.wire._http1._request import Request as Request
from llmmw.wire._http1._request import Target as Target
from llmmw.wire._http1._request import head_of as head_of
from llmmw.wire._http1._request import rows_of as rows_of
from llmmw.wire._http1._request import target_in as target_in
from llmmw.wire._http1._request import target_of as target_of
from llmmw.wire._http1._transport import Http1Transport as Http1Transport

__all__ = [
    "NOT_HERE",
    "Answer",
    "Http1Transport",
    "Origin",
    "Pool",
    "Request",
    "Target",
    "Times",
    "head_of",
    "rows_of",
    "target_in",
    "target_of",
]
