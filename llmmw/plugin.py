"""The door for authors of plugins: all that a provider or a middleware is made of."""

from llmmw._administration import Batches as Batches
from llmmw._administration import BatchInfo as BatchInfo
from llmmw._administration import BatchLimits as BatchLimits
from llmmw._administration import Checkpoint as Checkpoint
from llmmw._administration import FileInfo as FileInfo
from llmmw._administration import Files as Files
from llmmw._administration import FineTuneEvent as FineTuneEvent
from llmmw._administration import FineTuneInfo as FineTuneInfo
from llmmw._administration import FineTunes as FineTunes
from llmmw._administration import Hear as Hear
from llmmw._administration import Line as Line
from llmmw._administration import ModelInfo as ModelInfo
from llmmw._administration import Models as Models
from llmmw._administration import Outcome as Outcome
from llmmw._administration import Page as Page
from llmmw._administration import Pieces as Pieces
from llmmw._administration import Refusal as Refusal
from llmmw._administration import Source as Source
from llmmw._administration import Transfer as Transfer
from llmmw._administration import source_of as source_of
from llmmw._call import Attempt as Attempt
from llmmw._call import Call as Call
from llmmw._call import Listener as Listener
from llmmw._capabilities import Capabilities as Capabilities
from llmmw._capabilities import Media as Media
from llmmw._capabilities import Output as Output
from llmmw._capabilities import honour as honour
from llmmw._chain import Handler as Handler
from llmmw._chain import Middleware as Middleware
from llmmw._deltas import Fold as Fold
from llmmw._deltas import deltas_of as deltas_of
from llmmw._gate import Gate as Gate
from llmmw._history import History as History
from llmmw._history import Proposer as Proposer
from llmmw._history import Record as Record
from llmmw._history import Start as Start
from llmmw._hookspecs import Spec as Spec
from llmmw._hookspecs import hookimpl as hookimpl
from llmmw._ledger import DownloadProgress as DownloadProgress
from llmmw._ledger import Event as Event
from llmmw._ledger import Ledger as Ledger
from llmmw._listen import ResponseBuilder as ResponseBuilder
from llmmw._map_text import MapText as MapText
from llmmw._prices import built_in_prices as built_in_prices
from llmmw._provider import Provider as Provider
from llmmw._shared_buckets import Levels as Levels
from llmmw._shared_buckets import SharedBuckets as SharedBuckets
from llmmw._store import Store as Store
from llmmw._store import Stored as Stored
from llmmw._store import StoreError as StoreError
from llmmw._tasks import Host as Host
from llmmw._tasks import Task as Task
from llmmw._tasks import open_nursery as open_nursery

__all__ = [
    "Attempt",
    "BatchInfo",
    "BatchLimits",
    "Batches",
    "Call",
    "Capabilities",
    "Checkpoint",
    "DownloadProgress",
    "Event",
    "FileInfo",
    "Files",
    "FineTuneEvent",
    "FineTuneInfo",
    "FineTunes",
    "Fold",
    "Gate",
    "Handler",
    "Hear",
    "History",
    "Host",
    "Ledger",
    "Levels",
    "Line",
    "Listener",
    "MapText",
    "Media",
    "Middleware",
    "ModelInfo",
    "Models",
    "Outcome",
    "Output",
    "Page",
    "Pieces",
    "Proposer",
    "Provider",
    "Record",
    "Refusal",
    "ResponseBuilder",
    "SharedBuckets",
    "Source",
    "Spec",
    "Start",
    "Store",
    "StoreError",
    "Stored",
    "Task",
    "Transfer",
    "built_in_prices",
    "deltas_of",
    "honour",
    "hookimpl",
    "open_nursery",
    "source_of",
]
