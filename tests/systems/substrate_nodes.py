"""What the nodes of the far end give: toy models, a vector store, and shapes as published.

A node is an async function of its work and its arguments by name; a wrong call of it is an
`invalid_request_error`, and any other failure an `api_error`, as at the host.
"""

from __future__ import annotations

import inspect
import math

IMAGE = "data:image/jpeg;base64,/9j/"
AUDIO = "data:audio/wav;base64,UklGRg=="


class WrongCallError(Exception):
    """Arguments that a node does not take."""


def written(prompt, number=0):
    """What the toy model writes."""
    return f"{number or 'so'} {prompt}."


async def compute_text(work, prompt, image_uris=None, temperature=0.4, max_tokens=None, **more):
    if not isinstance(prompt, str):
        raise WrongCallError(f"prompt: a text is wanted, not {prompt!r}")
    return {"text": await spoken(work, written(prompt), lambda piece: {"text": piece}, max_tokens)}


async def spoken(work, text, shape, most=None):
    """The text, told word by word."""
    words = text.split(" ")[:most]
    pieces = [word if not at else f" {word}" for at, word in enumerate(words)]
    for piece in pieces:
        await work.tell(shape(piece))
    return "".join(pieces)


def item(name, index, inner):
    """A delta of one item of a list."""
    return {name: {"object": "array.item", "index": index, "item": inner}}


async def several(work, name, prompts, more):
    rows = []
    for at, prompt in enumerate(prompts):
        text = await spoken(work, prompt, lambda piece, at=at: item(name, at, {"text": piece}))
        rows.append({"text": text, **more})
    return {name: rows}


async def multi_compute_text(work, prompt, num_choices, **more):
    return await several(work, "choices", [written(prompt, n) for n in range(num_choices)], {})


async def batch_compute_text(work, prompts, **more):
    return await several(work, "outputs", [written(one) for one in prompts], {})


def fitting(schema):
    """The least data after a schema."""
    kind = schema.get("type")
    if kind == "object":
        return {name: fitting(one) for name, one in schema.get("properties", {}).items()}
    return {"array": [], "integer": 7, "number": 0.5, "boolean": True}.get(kind, "x")


async def compute_json(work, prompt, json_schema, **more):
    if prompt == "no JSON":
        return {"json_object": None, "text": "sorry"}
    return {"json_object": fitting(json_schema)}


async def multi_compute_json(work, prompt, json_schema, num_choices, **more):
    return {"choices": [{"json_object": fitting(json_schema)}] * num_choices}


async def batch_compute_json(work, prompts, json_schema, **more):
    return {"outputs": [{"json_object": fitting(json_schema)} for _ in prompts]}


async def pinned(
    work, prompt, system_prompt=None, num_choices=1, json_schema=None, max_tokens=None, **more
):
    if json_schema is not None:
        return {"choices": [{"json_object": fitting(json_schema)}] * num_choices}
    said = f"{system_prompt}: {prompt}" if system_prompt else prompt
    return await several(work, "choices", [written(said, n) for n in range(num_choices)], {})


async def firellava(work, prompt, image_uris, max_tokens=None):
    text = f"{len(image_uris)} images, {prompt}"
    return {"text": await spoken(work, text, lambda piece: {"text": piece})}


async def box(work, value):
    return {"value": value}


async def choose(work, condition, value_if_true, value_if_false=None):
    taken = value_if_true if await work.resolved(condition) else value_if_false
    return {"result": await work.resolved(taken)}


async def experimental(work, name, args, timeout=60):
    """`fail` fails, so many `times` if it is said; `wait` waits for an event; `count` counts."""
    far = work.far
    runs = far.counts[name, str(args.get("key"))] = far.counts[name, str(args.get("key"))] + 1
    if name == "fail" and runs <= args.get("times", runs):
        raise RuntimeError(args.get("message", "it broke"))
    if name == "wait":
        far.waiting.append(args["key"])
        await far.event(args["key"]).wait()
    if name == "many":
        for piece in args["deltas"]:
            await work.tell({"output": piece})
    far.done.append(args.get("key"))
    return {"output": args.get("output") or {"runs": runs}}


def image(**given):
    return "https://host/image.jpg" if given.get("store") == "hosted" else IMAGE


async def one_image(work, **given):
    return {"image_uri": image(**given)}


async def images(work, num_images, **given):
    return {"outputs": [{"image_uri": image(**given)}] * num_images}


async def seeded(work, prompt, num_images=1, seeds=None, **given):
    seeds = seeds or list(range(num_images))
    return {"outputs": [{"image_uri": image(**given), "seed": seed} for seed in seeds]}


async def mask(work, image_uri, **given):
    return {"mask_image_uri": image(**given)}


async def video(work, output_format="gif", fps=7, **given):
    if output_format == "frames":
        return {"frame_uris": [IMAGE] * fps}
    return {"video_uri": f"data:image/{output_format};base64,R0lG"}


async def transcribe(work, audio_uri, segment=False, align=False, suggest_chapters=False, **more):
    words = [{"word": "hi", "start": 0.0, "end": 0.5}] if align else None
    segments = [{"text": "hi", "start": 0, "end": 1.5, "words": words}] if segment else None
    chapters = [{"title": "one", "start": 0.0}] if suggest_chapters else None
    return {"text": "hi", "segments": segments, "chapters": chapters}


async def speech(work, text, store=None):
    return {"audio_uri": AUDIO}


async def code(work, prompt, language, **more):
    return {"code": f"{language}: {prompt}"}


async def several_codes(work, prompt, language, num_choices, **more):
    return {"choices": [{"code": f"{language} {n}: {prompt}"} for n in range(num_choices)]}


def vector_of(text):
    """A vector that is like that of a like text."""
    return [text.count(sign) / max(len(text), 1) for sign in "aeiost"]


async def embed_one(work, text=None, image_uri=None, **about):
    told = {"text": text, "image_uri": image_uri, "metadata": about.get("metadata")}
    rows = await embed_many(work, [{**told, "doc_id": about.get("doc_id")}], **about)
    return {"embedding": rows["embeddings"][0]}


async def embed_many(work, items, collection_name=None, model="jina-v2", **more):
    rows = []
    for one in items:
        vector = vector_of(one.get("text") or one["image_uri"])
        about = {"doc_id": one.get("doc_id"), "metadata": one.get("metadata")}
        rows.append({"vector": vector, **about})
        if collection_name is not None:
            kept = {"vector": vector, "metadata": one.get("metadata") or {}}
            store(work, collection_name, model)[one["doc_id"]] = kept
    return {"embeddings": rows}


def store(work, collection_name, model):
    stores = work.far.stores
    if (collection_name, model) not in stores:
        raise WrongCallError(f"there is no collection {collection_name!r} of {model}")
    return stores[collection_name, model]


async def create_store(work, collection_name, model):
    work.far.stores.setdefault((collection_name, model), {})
    return {"collection_name": collection_name, "model": model}


async def list_stores(work):
    return {"items": [{"collection_name": name, "model": model} for name, model in work.far.stores]}


async def delete_store(work, collection_name, model):
    store(work, collection_name, model)
    del work.far.stores[collection_name, model]
    return {"collection_name": collection_name, "model": model}


async def fetch(work, collection_name, model, ids):
    held = store(work, collection_name, model)
    return {"vectors": [{"id": one, **held[one]} for one in ids if one in held]}


async def update(work, collection_name, model, vectors):
    held = store(work, collection_name, model)
    for one in vectors:
        before = held.get(one["id"], {"vector": [], "metadata": {}})
        changed = {name: one[name] for name in before if one.get(name) is not None}
        held[one["id"]] = {**before, **changed}
    return {"count": len(vectors)}


async def delete(work, collection_name, model, ids):
    held = store(work, collection_name, model)
    return {"count": len([held.pop(one) for one in ids if one in held])}


async def query(work, collection_name, model, query_strings=None, query_vectors=None, **more):
    held = store(work, collection_name, model)
    asked = query_vectors or [vector_of(one) for one in query_strings or ()]
    results = []
    for vector in asked:
        rows = [{"id": key, "distance": math.dist(vector, one["vector"])} | (
            {"vector": one["vector"]} if more.get("include_values") else {}) | (
            {"metadata": one["metadata"]} if more.get("include_metadata") else {})
            for key, one in held.items()]  # fmt: skip
        results.append(sorted(rows, key=lambda row: row["distance"])[: more.get("top_k", 10)])
    return {"results": results, "collection_name": collection_name, "model": model}


async def split(work, uri, doc_id=None, metadata=None, chunk_size=None, chunk_overlap=None):
    size = chunk_size or 1024
    parts = [uri[at : at + size] for at in range(0, len(uri), size)]
    about = {"metadata": metadata or {}, "doc_id": doc_id}
    return {"items": [{"text": part, **about} for part in parts]}


NODES = {
    "BatchComputeJSON": batch_compute_json,
    "BatchComputeText": batch_compute_text,
    "Box": box,
    "ComputeJSON": compute_json,
    "ComputeText": compute_text,
    "DeleteVectorStore": delete_store,
    "DeleteVectors": delete,
    "Experimental": experimental,
    "FetchVectors": fetch,
    "FindOrCreateVectorStore": create_store,
    "Firellava13B": firellava,
    "GenerateCode": code,
    "GenerateSpeech": speech,
    "If": choose,
    "ListVectorStores": list_stores,
    "MultiComputeJSON": multi_compute_json,
    "MultiComputeText": multi_compute_text,
    "MultiGenerateCode": several_codes,
    "QueryVectorStore": query,
    "SplitDocument": split,
    "TranscribeSpeech": transcribe,
    "UpdateVectors": update,
}
for function, names in {
    pinned: "Mistral7BInstruct Mixtral8x7BInstruct Llama3Instruct8B Llama3Instruct70B",
    one_image: "GenerateImage InpaintImage EraseImage RemoveBackground UpscaleImage",
    images: "MultiGenerateImage MultiInpaintImage",
    seeded: "StableDiffusionXLLightning StableDiffusionXLControlNet StableDiffusionXLInpaint",
    mask: "SegmentUnderPoint SegmentAnything",
    video: "StableVideoDiffusion InterpolateFrames",
    embed_one: "EmbedText EmbedImage",
    embed_many: "MultiEmbedText MultiEmbedImage JinaV2 CLIP",
}.items():
    NODES |= dict.fromkeys(names.split(), function)


def check_call(name, args):
    """Refuse a node that nobody knows, and arguments that it does not take."""
    if name not in NODES:
        raise WrongCallError(f"there is no node {name!r}")
    try:
        inspect.signature(NODES[name]).bind(None, **args)
    except TypeError as error:
        raise WrongCallError(f"{name}: {error}") from None
