"""Calls to language models that always answer, as fast as possible.

The map. Imports run downward only; `pyproject.toml` has it as a contract that the tests check.

    faces      cli | testing               how people hold it
    bridges    sync | aio, _bridge, _feed  for plain and for asyncio programs
    session    _session                    the client: its core, and running flows
    above      flow | sim                  lazy values; a simulated provider, simulated worlds
    client     _client, _verbs, _client_map, _arguments, _stream, _map, _journal,
               _job_file, _router, _stack
    config     _config                     files, accounts, what is doubtful about a stack
    plugins    plugin, _plugins, _own, _hookspecs             find, load, list; the authors' door
    policies   policies | stores | wire    one idea a file; the kit of providers over HTTP
    engines    _portal_thread, _portal | _plan | _flight
                                           the way into trio; which attempt is next; shared flights
    attempts   _history, _attempts, _resume, _budget   what policies see; one attempt; its cost
               _mailbox                    what goes between two threads
    chain      _provider, _administration, _chain, _gate, _listen, _map_text, _forced_tool, _edits,
               _emulate, _forms, _serve, _tasks, _lifetime, _instrument, _store,
               _shared_buckets, _memory
    call       _call                       one request in flight
    values     _deltas, _request, _tools, _output, _response, _messages, _parts, _functions,
               _typed, _strict, _schema, _schema_grammar, _gbnf, _prices, _capabilities,
               _abilities, _explain, _ledger, _events, _cache_events, _batch_events,
               _batch_api_events, _together, _record, _record_types, _plain, _secret, errors
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmmw import errors as errors
    from llmmw import policies as policies
    from llmmw._administration import BatchInfo as BatchInfo
    from llmmw._administration import BatchItem as BatchItem
    from llmmw._administration import Checkpoint as Checkpoint
    from llmmw._administration import FileInfo as FileInfo
    from llmmw._administration import FineTuneEvent as FineTuneEvent
    from llmmw._administration import FineTuneInfo as FineTuneInfo
    from llmmw._administration import ModelInfo as ModelInfo
    from llmmw._administration import Pages as Pages
    from llmmw._administration import Transfer as Transfer
    from llmmw._budget import Budget as Budget
    from llmmw._call import Call as Call
    from llmmw._call import Listener as Listener
    from llmmw._call import OnInterrupt as OnInterrupt
    from llmmw._capabilities import Capabilities as Capabilities
    from llmmw._chain import Handler as Handler
    from llmmw._chain import Layer as Layer
    from llmmw._chain import Middleware as Middleware
    from llmmw._chain import chain as chain
    from llmmw._chain import describe as describe
    from llmmw._config._advice import Advice as Advice
    from llmmw._config._advice import advise as advise
    from llmmw._config._file import Config as Config
    from llmmw._config._file import load_config as load_config
    from llmmw._config._file import to_toml as to_toml
    from llmmw._deltas import Delta as Delta
    from llmmw._deltas import PartDelta as PartDelta
    from llmmw._deltas import PartEnd as PartEnd
    from llmmw._deltas import PartStart as PartStart
    from llmmw._deltas import ResponseStart as ResponseStart
    from llmmw._deltas import Restarted as Restarted
    from llmmw._explain import Spent as Spent
    from llmmw._instrument import Instrument as Instrument
    from llmmw._journal import Journal as Journal
    from llmmw._map import Item as Item
    from llmmw._map import Items as Items
    from llmmw._map import Progress as Progress
    from llmmw._map_text import MapText as MapText
    from llmmw._messages import Message as Message
    from llmmw._output import Choice as Choice
    from llmmw._output import Grammar as Grammar
    from llmmw._output import JsonObject as JsonObject
    from llmmw._output import JsonSchema as JsonSchema
    from llmmw._parts import CachePoint as CachePoint
    from llmmw._parts import Citation as Citation
    from llmmw._parts import MediaPart as MediaPart
    from llmmw._parts import OpaquePart as OpaquePart
    from llmmw._parts import Part as Part
    from llmmw._parts import ReasoningPart as ReasoningPart
    from llmmw._parts import TextPart as TextPart
    from llmmw._parts import TokenLogprob as TokenLogprob
    from llmmw._parts import ToolCallPart as ToolCallPart
    from llmmw._parts import ToolResultPart as ToolResultPart
    from llmmw._plugins import Listing as Listing
    from llmmw._plugins import Plugins as Plugins
    from llmmw._prices import Price as Price
    from llmmw._prices import Prices as Prices
    from llmmw._prices import price_of as price_of
    from llmmw._request import CountTokens as CountTokens
    from llmmw._request import Detokenize as Detokenize
    from llmmw._request import Embed as Embed
    from llmmw._request import Generate as Generate
    from llmmw._request import Reasoning as Reasoning
    from llmmw._request import Request as Request
    from llmmw._request import Score as Score
    from llmmw._request import Tokenize as Tokenize
    from llmmw._response import Candidate as Candidate
    from llmmw._response import Detokenized as Detokenized
    from llmmw._response import Embeddings as Embeddings
    from llmmw._response import Finish as Finish
    from llmmw._response import FinishReason as FinishReason
    from llmmw._response import Generation as Generation
    from llmmw._response import Response as Response
    from llmmw._response import Scores as Scores
    from llmmw._response import TokenCount as TokenCount
    from llmmw._response import Tokens as Tokens
    from llmmw._response import Usage as Usage
    from llmmw._session import Client as Client
    from llmmw._stack import default_stack as default_stack
    from llmmw._stream import Stream as Stream
    from llmmw._together import Answers as Answers
    from llmmw._together import Together as Together
    from llmmw._tools import ServerTool as ServerTool
    from llmmw._tools import Tool as Tool
    from llmmw._tools import ToolNames as ToolNames
    from llmmw._verbs import ClientBatches as ClientBatches
    from llmmw._verbs import ClientFiles as ClientFiles
    from llmmw._verbs import ClientFineTunes as ClientFineTunes
    from llmmw._verbs import ClientModels as ClientModels
    from llmmw.policies import Attempts as Attempts
    from llmmw.policies import Balance as Balance
    from llmmw.policies import Batch as Batch
    from llmmw.policies import BatchApi as BatchApi
    from llmmw.policies import Breaker as Breaker
    from llmmw.policies import Cache as Cache
    from llmmw.policies import Coalesce as Coalesce
    from llmmw.policies import Concurrency as Concurrency
    from llmmw.policies import Fallback as Fallback
    from llmmw.policies import Guard as Guard
    from llmmw.policies import Hedge as Hedge
    from llmmw.policies import Instrumentation as Instrumentation
    from llmmw.policies import RateLimit as RateLimit
    from llmmw.policies import Retry as Retry
    from llmmw.policies import Timeout as Timeout
    from llmmw.policies import batched as batched
    from llmmw.policies import cache_mode as cache_mode

# Where each name stands; imported when it is first used, so that `import llmmw` costs nothing.
_HOMES = {
    "_config._advice": ("Advice", "advise"),
    "_administration": ("BatchInfo", "BatchItem", "FileInfo", "ModelInfo", "Pages", "Transfer"),
    "_administration._fine_tunes": ("Checkpoint", "FineTuneEvent", "FineTuneInfo"),
    "_budget": ("Budget",),
    "_call": ("Call", "Listener", "OnInterrupt"),
    "_capabilities": ("Capabilities",),
    "_chain": ("Handler", "Layer", "Middleware", "chain", "describe"),
    "_config._file": ("Config", "load_config", "to_toml"),
    "_deltas": ("Delta", "PartDelta", "PartEnd", "PartStart", "ResponseStart", "Restarted"),
    "_explain": ("Spent",),
    "_instrument": ("Instrument",),
    "_journal": ("Journal",),
    "_map": ("Item", "Items", "Progress"),
    "_map_text": ("MapText",),
    "_messages": ("Message",),
    "_output": ("Choice", "Grammar", "JsonObject", "JsonSchema"),
    "_parts": (
        "CachePoint",
        "Citation",
        "MediaPart",
        "OpaquePart",
        "Part",
        "ReasoningPart",
        "TextPart",
        "TokenLogprob",
        "ToolCallPart",
        "ToolResultPart",
    ),
    "_plugins": ("Listing", "Plugins"),
    "_prices": ("Price", "Prices", "price_of"),
    "_request": (
        "CountTokens",
        "Detokenize",
        "Embed",
        "Generate",
        "Reasoning",
        "Request",
        "Score",
        "Tokenize",
    ),
    "_response": (
        "Candidate",
        "Detokenized",
        "Embeddings",
        "Finish",
        "FinishReason",
        "Generation",
        "Response",
        "Scores",
        "TokenCount",
        "Tokens",
        "Usage",
    ),
    "_session": ("Client",),
    "_stack": ("default_stack",),
    "_stream": ("Stream",),
    "_together": ("Answers", "Together"),
    "_tools": ("ServerTool", "Tool", "ToolNames"),
    "_verbs": ("ClientBatches", "ClientFiles", "ClientFineTunes", "ClientModels"),
    "policies": (
        "Attempts",
        "Balance",
        "Batch",
        "BatchApi",
        "Breaker",
        "Cache",
        "Coalesce",
        "Concurrency",
        "Fallback",
        "Guard",
        "Hedge",
        "Instrumentation",
        "RateLimit",
        "Retry",
        "Timeout",
        "batched",
        "cache_mode",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in {"errors", "policies"}:
        return import_module(f"llmmw.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'llmmw' has no attribute {name!r}")
    found = getattr(import_module(f"llmmw.{_HOME_OF[name]}"), name)
    globals()[name] = found
    return found


__all__ = [
    "Advice",
    "Answers",
    "Attempts",
    "Balance",
    "Batch",
    "BatchApi",
    "BatchInfo",
    "BatchItem",
    "Breaker",
    "Budget",
    "Cache",
    "CachePoint",
    "Call",
    "Candidate",
    "Capabilities",
    "Checkpoint",
    "Choice",
    "Citation",
    "Client",
    "ClientBatches",
    "ClientFiles",
    "ClientFineTunes",
    "ClientModels",
    "Coalesce",
    "Concurrency",
    "Config",
    "CountTokens",
    "Delta",
    "Detokenize",
    "Detokenized",
    "Embed",
    "Embeddings",
    "Fallback",
    "FileInfo",
    "FineTuneEvent",
    "FineTuneInfo",
    "Finish",
    "FinishReason",
    "Generate",
    "Generation",
    "Grammar",
    "Guard",
    "Handler",
    "Hedge",
    "Instrument",
    "Instrumentation",
    "Item",
    "Items",
    "Journal",
    "JsonObject",
    "JsonSchema",
    "Layer",
    "Listener",
    "Listing",
    "MapText",
    "MediaPart",
    "Message",
    "Middleware",
    "ModelInfo",
    "OnInterrupt",
    "OpaquePart",
    "Pages",
    "Part",
    "PartDelta",
    "PartEnd",
    "PartStart",
    "Plugins",
    "Price",
    "Prices",
    "Progress",
    "RateLimit",
    "Reasoning",
    "ReasoningPart",
    "Request",
    "Response",
    "ResponseStart",
    "Restarted",
    "Retry",
    "Score",
    "Scores",
    "ServerTool",
    "Spent",
    "Stream",
    "TextPart",
    "Timeout",
    "Together",
    "TokenCount",
    "TokenLogprob",
    "Tokenize",
    "Tokens",
    "Tool",
    "ToolCallPart",
    "ToolNames",
    "ToolResultPart",
    "Transfer",
    "Usage",
    "advise",
    "batched",
    "cache_mode",
    "chain",
    "default_stack",
    "describe",
    "load_config",
    "price_of",
    "to_toml",
]


def __dir__() -> list[str]:
    return sorted(__all__)
