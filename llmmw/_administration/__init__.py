"""What providers can do besides answering calls: verbs for models, files, fine-tunes and batches.

A provider that has some gives an object of these forms as its `models`, `files`, `fine_tunes` or
`batches`. Each verb that its class does not override is refused by name.
"""

from llmmw._administration._batches import Batches as Batches
from llmmw._administration._batches import BatchInfo as BatchInfo
from llmmw._administration._batches import BatchItem as BatchItem
from llmmw._administration._batches import BatchLimits as BatchLimits
from llmmw._administration._batches import Line as Line
from llmmw._administration._batches import Outcome as Outcome
from llmmw._administration._batches import Refusal as Refusal
from llmmw._administration._files import FileInfo as FileInfo
from llmmw._administration._files import Files as Files
from llmmw._administration._fine_tunes import Checkpoint as Checkpoint
from llmmw._administration._fine_tunes import FineTuneEvent as FineTuneEvent
from llmmw._administration._fine_tunes import FineTuneInfo as FineTuneInfo
from llmmw._administration._fine_tunes import FineTunes as FineTunes
from llmmw._administration._models import ModelInfo as ModelInfo
from llmmw._administration._models import Models as Models
from llmmw._administration._pages import Pages as Pages
from llmmw._administration._pages import Pass as Pass
from llmmw._administration._source import Pieces as Pieces
from llmmw._administration._source import Source as Source
from llmmw._administration._source import source_of as source_of
from llmmw._administration._verbs import Hear as Hear
from llmmw._administration._verbs import Page as Page
from llmmw._administration._verbs import Transfer as Transfer
from llmmw._administration._verbs import Verbs as Verbs

__all__ = [
    "BatchInfo",
    "BatchItem",
    "BatchLimits",
    "Batches",
    "Checkpoint",
    "FileInfo",
    "Files",
    "FineTuneEvent",
    "FineTuneInfo",
    "FineTunes",
    "Hear",
    "Line",
    "ModelInfo",
    "Models",
    "Outcome",
    "Page",
    "Pages",
    "Pass",
    "Pieces",
    "Refusal",
    "Source",
    "Transfer",
    "Verbs",
    "source_of",
]
