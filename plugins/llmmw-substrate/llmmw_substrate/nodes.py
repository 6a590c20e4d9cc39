"""The kinds of nodes that the host knows, one row each; `Kind` says how they are used.

A kind that is in no row is `Experimental("name", {…})`, or `llmmw.flow.dag.Node("Name", …)`.
"""

from __future__ import annotations

from typing import Any, NoReturn

from llmmw.errors import UnsupportedFeature
from llmmw_substrate import _outs as o
from llmmw_substrate._kind import KINDS as KINDS
from llmmw_substrate._kind import Kind

__all__ = [
    "CLIP",
    "KINDS",
    "BatchComputeJSON",
    "BatchComputeText",
    "Box",
    "ComputeJSON",
    "ComputeText",
    "DeleteVectorStore",
    "DeleteVectors",
    "EmbedImage",
    "EmbedText",
    "EraseImage",
    "Experimental",
    "FetchVectors",
    "FindOrCreateVectorStore",
    "Firellava13B",
    "GenerateCode",
    "GenerateImage",
    "GenerateSpeech",
    "If",
    "InpaintImage",
    "InterpolateFrames",
    "JinaV2",
    "Kind",
    "ListVectorStores",
    "Llama3Instruct8B",
    "Llama3Instruct70B",
    "Mistral7BInstruct",
    "Mixtral8x7BInstruct",
    "MultiComputeJSON",
    "MultiComputeText",
    "MultiEmbedImage",
    "MultiEmbedText",
    "MultiGenerateCode",
    "MultiGenerateImage",
    "MultiInpaintImage",
    "QueryVectorStore",
    "RemoveBackground",
    "RunPython",
    "SegmentAnything",
    "SegmentUnderPoint",
    "SplitDocument",
    "StableDiffusionXLControlNet",
    "StableDiffusionXLInpaint",
    "StableDiffusionXLLightning",
    "StableVideoDiffusion",
    "TranscribeSpeech",
    "UpdateVectors",
    "UpscaleImage",
]

Experimental = Kind("Experimental", o.ExperimentalOut, "name", "args", timeout=60)
Box = Kind("Box", o.BoxOut, "value")
If = Kind("If", o.IfOut, "condition", "value_if_true", value_if_false=None)

# Text.

_MODEL = "Llama3Instruct8B"
_WRITTEN: dict[str, Any] = {"temperature": 0.4, "max_tokens": None, "model": _MODEL}
_SEEN: dict[str, Any] = {"image_uris": None}
ComputeText = Kind("ComputeText", o.TextOut, "prompt", **_SEEN, **_WRITTEN)
MultiComputeText = Kind("MultiComputeText", o.MultiTextOut, "prompt", "num_choices", **_WRITTEN)
BatchComputeText = Kind("BatchComputeText", o.BatchTextOut, "prompts", **_WRITTEN)
ComputeJSON = Kind("ComputeJSON", o.JSONOut, "prompt", "json_schema", **_WRITTEN)
MultiComputeJSON = Kind(
    "MultiComputeJSON", o.MultiJSONOut, "prompt", "json_schema", "num_choices", **_WRITTEN
)
BatchComputeJSON = Kind("BatchComputeJSON", o.BatchJSONOut, "prompts", "json_schema", **_WRITTEN)
_CODED: dict[str, Any] = {"temperature": None, "max_tokens": None}
GenerateCode = Kind("GenerateCode", o.CodeOut, "prompt", "language", **_CODED)
MultiGenerateCode = Kind(
    "MultiGenerateCode", o.MultiCodeOut, "prompt", "language", "num_choices", **_CODED
)

# Models by their names.

_CHOSEN: dict[str, Any] = {"system_prompt": None, "num_choices": 1}
_SCHEMA: dict[str, Any] = {"json_schema": None}
_SAMPLED: dict[str, Any] = {
    "temperature": None,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 1.1,
    "top_p": 0.95,
    "max_tokens": None,
}
Mistral7BInstruct = Kind(
    "Mistral7BInstruct", o.ChoicesOut, "prompt", **_CHOSEN, **_SCHEMA, **_SAMPLED
)
Mixtral8x7BInstruct = Kind(
    "Mixtral8x7BInstruct", o.ChoicesOut, "prompt", **_CHOSEN, **_SCHEMA, **_SAMPLED
)
Llama3Instruct8B = Kind(
    "Llama3Instruct8B", o.ChoicesOut, "prompt", **_CHOSEN, **_SAMPLED, **_SCHEMA
)
Llama3Instruct70B = Kind("Llama3Instruct70B", o.ChoicesOut, "prompt", **_CHOSEN, **_SAMPLED)
Firellava13B = Kind("Firellava13B", o.TextOut, "prompt", "image_uris", max_tokens=None)

# Images, video and speech.

GenerateImage = Kind("GenerateImage", o.ImageOut, "prompt", store=None)
MultiGenerateImage = Kind("MultiGenerateImage", o.ImagesOut, "prompt", "num_images", store=None)
StableDiffusionXLLightning = Kind(
    "StableDiffusionXLLightning",
    o.SeededImagesOut,
    "prompt",
    negative_prompt=None,
    num_images=1,
    store=None,
    height=1024,
    width=1024,
    seeds=None,
)
StableDiffusionXLControlNet = Kind(
    "StableDiffusionXLControlNet",
    o.SeededImagesOut,
    *("image_uri", "control_method", "prompt", "num_images"),
    output_resolution=1024,
    negative_prompt=None,
    store=None,
    conditioning_scale=0.5,
    strength=0.5,
    seeds=None,
)
StableDiffusionXLInpaint = Kind(
    "StableDiffusionXLInpaint",
    o.SeededImagesOut,
    *("image_uri", "prompt", "num_images"),
    mask_image_uri=None,
    output_resolution=1024,
    negative_prompt=None,
    store=None,
    strength=0.8,
    seeds=None,
)
_PAINTED: dict[str, Any] = {"mask_image_uri": None, "store": None}
InpaintImage = Kind("InpaintImage", o.ImageOut, "image_uri", "prompt", **_PAINTED)
MultiInpaintImage = Kind(
    "MultiInpaintImage", o.ImagesOut, "image_uri", "prompt", "num_images", **_PAINTED
)
EraseImage = Kind("EraseImage", o.ImageOut, "image_uri", "mask_image_uri", store=None)
RemoveBackground = Kind(
    "RemoveBackground",
    o.ImageOut,
    "image_uri",
    return_mask=False,
    invert_mask=False,
    background_color=None,
    store=None,
)
UpscaleImage = Kind(
    "UpscaleImage", o.ImageOut, "image_uri", prompt=None, output_resolution=1024, store=None
)
SegmentUnderPoint = Kind("SegmentUnderPoint", o.MaskOut, "image_uri", "point", store=None)
SegmentAnything = Kind(
    "SegmentAnything", o.MaskOut, "image_uri", point_prompts=None, box_prompts=None, store=None
)
StableVideoDiffusion = Kind(
    "StableVideoDiffusion",
    o.VideoOut,
    "image_uri",
    store=None,
    output_format="gif",
    seed=None,
    fps=7,
    motion_bucket_id=180,
    noise=0.1,
)
InterpolateFrames = Kind(
    "InterpolateFrames", o.VideoOut, "frame_uris", store=None, output_format="gif", fps=7,
    num_steps=2,
)  # fmt: skip
TranscribeSpeech = Kind(
    "TranscribeSpeech",
    o.TranscriptOut,
    "audio_uri",
    prompt=None,
    language="en",
    segment=False,
    align=False,
    diarize=False,
    suggest_chapters=False,
)
GenerateSpeech = Kind("GenerateSpeech", o.SpeechOut, "text", store=None)

# Vectors.

_STORED: dict[str, Any] = {"collection_name": None, "embedded_metadata_keys": None}
EmbedText = Kind(
    "EmbedText",
    o.EmbeddingOut,
    "text",
    collection_name=None,
    metadata=None,
    embedded_metadata_keys=None,
    doc_id=None,
    model="jina-v2",
)
MultiEmbedText = Kind("MultiEmbedText", o.EmbeddingsOut, "items", **_STORED, model="jina-v2")
JinaV2 = Kind("JinaV2", o.EmbeddingsOut, "items", **_STORED)
EmbedImage = Kind(
    "EmbedImage", o.EmbeddingOut, "image_uri", collection_name=None, doc_id=None, model="clip"
)
MultiEmbedImage = Kind(
    "MultiEmbedImage", o.EmbeddingsOut, "items", collection_name=None, model="clip"
)
CLIP = Kind("CLIP", o.EmbeddingsOut, "items", **_STORED)
_IN = ("collection_name", "model")
FindOrCreateVectorStore = Kind("FindOrCreateVectorStore", o.CollectionOut, *_IN)
ListVectorStores = Kind("ListVectorStores", o.CollectionsOut)
DeleteVectorStore = Kind("DeleteVectorStore", o.CollectionOut, *_IN)
FetchVectors = Kind("FetchVectors", o.VectorsOut, *_IN, "ids")
UpdateVectors = Kind("UpdateVectors", o.CountOut, *_IN, "vectors")
DeleteVectors = Kind("DeleteVectors", o.CountOut, *_IN, "ids")
QueryVectorStore = Kind(
    "QueryVectorStore",
    o.QueryOut,
    *_IN,
    query_strings=None,
    query_image_uris=None,
    query_vectors=None,
    query_ids=None,
    top_k=10,
    ef_search=40,
    num_leaves_to_search=40,
    include_values=False,
    include_metadata=False,
    filters=None,
)
SplitDocument = Kind(
    "SplitDocument",
    o.DocumentsOut,
    "uri",
    doc_id=None,
    metadata=None,
    chunk_size=None,
    chunk_overlap=None,
)


def RunPython(function: object, *args: object, **options: object) -> NoReturn:  # noqa: N802
    """Refused: the host runs pickled functions, and its answers hold pickled values.

    Raises:
        UnsupportedFeature: always.
    """
    raise UnsupportedFeature(
        "RunPython sends a pickled function, and who unpickles a host's answer runs whatever is "
        "in it: run the function here, as llmmw.flow.executable, on what the graph gives"
    )
