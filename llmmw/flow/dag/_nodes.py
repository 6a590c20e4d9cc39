"""The classes of nodes that `POST /compose` knows, as functions that give Executables; and what
carries them out here. Their results are objects, so that `node.future.text` is one's text."""

# ruff: noqa: N802 (their names are those of the wire)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from llmmw._messages import Message
from llmmw._parts import MediaPart, TextPart
from llmmw.errors import BadRequest
from llmmw.flow._combine import gather, repeat, resolved
from llmmw.flow._here import here
from llmmw.flow._node import Executable, Future, node
from llmmw.flow.builtins.embed import embed
from llmmw.flow.builtins.text import generate_text
from llmmw.flow.builtins.typed import generate_object
from llmmw.flow.dag._carried import NodeClass, carry_out

__all__ = [
    "CARRIERS",
    "LAZY",
    "BatchComputeJSON",
    "BatchComputeText",
    "Box",
    "ComputeJSON",
    "ComputeText",
    "EmbedText",
    "Experimental",
    "If",
    "MultiComputeJSON",
    "MultiComputeText",
    "MultiEmbedText",
    "Node",
    "Output",
    "made",
]

Out = Executable["Output"]
_OPTIONS = {"id", "hide", "_depends", "_cache_age", "_cache_keys", "_max_retries"}
LAZY = {"If": frozenset({"value_if_true", "value_if_false"})}


class Output(dict[str, Any]):
    """What a node gives: an object whose names are attributes, too; but for those that a dict has
    of its own: `one["items"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            found = self[name]
        except KeyError:
            raise AttributeError(name) from None
        return Output(found) if type(found) is dict else found


def made(name: str, given: Mapping[str, Any], carrier: Any = None) -> Out:
    """A node of a class by its name.

    Args:
        name: of the class.
        given: arguments, and options: `id`; `hide`, its result is not given out; `_depends`,
            nodes that must be done before; `_cache_age`, seconds that its result is good for;
            `_cache_keys`, the arguments that matter for that; `_max_retries`.
        carrier: what carries it out here; default: what is known for the class.
    """
    options = {key: given.get(key) for key in _OPTIONS}
    keys = options["_cache_keys"]
    _check(name, options)
    operation = NodeClass(
        name=name,
        function=carry_out,
        kind="dag",
        lazy=LAZY.get(name, frozenset()),
        carrier=carrier or CARRIERS.get(name),
        cache_age=options["_cache_age"],
        cache_keys=None if keys is None else tuple(keys),
        max_retries=options["_max_retries"],
    )
    one = node(operation, **{key: value for key, value in given.items() if key not in _OPTIONS})
    depends, hide = options["_depends"] or (), bool(options["hide"])
    return one.with_options(id=options["id"], depends=depends, hidden=hide)


def _check(name: str, options: Mapping[str, Any]) -> None:
    key, keys = options["id"], options["_cache_keys"]
    age, retries = options["_cache_age"], options["_max_retries"]
    if isinstance(options["_depends"], (Executable, Future)):
        raise BadRequest(f"{name}: _depends: expected a list of nodes")
    if key is not None and (not isinstance(key, str) or not key):
        raise BadRequest(f"{name}: id={key!r}: expected a text")
    if keys is not None and not (
        isinstance(keys, (list, tuple)) and all(isinstance(one, str) for one in keys)
    ):
        raise BadRequest(f"{name}: _cache_keys={keys!r}: expected a list of names of arguments")
    if age is not None and (type(age) not in (int, float) or age < 0):
        raise BadRequest(f"{name}: _cache_age={age!r}: expected seconds")
    if retries is not None and (type(retries) is not int or retries < 0):
        raise BadRequest(f"{name}: _max_retries={retries!r}: expected a whole number from 0 on")


def Node(name: str, function: Any = None, /, **arguments: Any) -> Out:
    """A node of any class.

    Args:
        name: the class.
        function: what carries it out here; default: the builtin of that name, if it runs here.
        arguments: of the node; and options as for all: `id`, `hide`, `_depends`, `_cache_age`,
            `_cache_keys`, `_max_retries`.
    """
    return made(name, arguments, function)


def Experimental(name: str, args: Mapping[str, Any], timeout: float = 60, **options: Any) -> Out:
    """A node that a server knows by a name; here, the builtin of that name. Gives `output`."""
    given = {"name": name, "args": dict(args), "timeout": timeout}
    return made("Experimental", {**given, **options})


def Box(value: object, **options: Any) -> Out:
    """Any value with what the nodes in it give, as `value`."""
    return made("Box", {"value": value, **options})


def If(
    condition: object, value_if_true: object, value_if_false: object = None, **options: Any
) -> Out:
    """One of two values by a condition, as `result`. Here, the other is not run."""
    values = {"value_if_true": value_if_true, "value_if_false": value_if_false}
    return made("If", {"condition": condition, **values, **options})


def ComputeText(
    prompt: object,
    image_uris: object = None,
    temperature: object = 0.4,
    max_tokens: object = None,
    model: object = None,
    **options: Any,
) -> Out:
    """Text by a model, as `text`.

    Args:
        prompt: what is asked.
        image_uris: addresses of images to look at.
        temperature: of sampling.
        max_tokens: how long the text may be.
        model: here, the target; default: the client's first. At an endpoint, its own name.
        options: further arguments of the model, and options of all nodes.
    """
    given = {"prompt": prompt, "image_uris": image_uris, "temperature": temperature}
    given |= {"max_tokens": max_tokens, **_model(model)}
    return made("ComputeText", {**given, **options})


def MultiComputeText(prompt: object, num_choices: object, **options: Any) -> Out:
    """Several texts to one prompt, as `choices`, each with its `text`."""
    return made("MultiComputeText", _asked({"prompt": prompt, "num_choices": num_choices}, options))


def BatchComputeText(prompts: object, **options: Any) -> Out:
    """A text to each prompt, as `outputs`, each with its `text`."""
    return made("BatchComputeText", _asked({"prompts": prompts}, options))


def ComputeJSON(prompt: object, json_schema: object, **options: Any) -> Out:
    """Data in the form of a schema, as `json_object`."""
    return made("ComputeJSON", _asked({"prompt": prompt, "json_schema": json_schema}, options))


def MultiComputeJSON(
    prompt: object, json_schema: object, num_choices: object, **options: Any
) -> Out:
    """Several data to one prompt, as `choices`, each with its `json_object`."""
    given = {"prompt": prompt, "json_schema": json_schema, "num_choices": num_choices}
    return made("MultiComputeJSON", _asked(given, options))


def BatchComputeJSON(prompts: object, json_schema: object, **options: Any) -> Out:
    """Data to each prompt, as `outputs`, each with its `json_object`."""
    return made(
        "BatchComputeJSON", _asked({"prompts": prompts, "json_schema": json_schema}, options)
    )


def EmbedText(text: object, model: object = None, **options: Any) -> Out:
    """The vector of a text, as `embedding.vector`."""
    return made("EmbedText", {"text": text, **_model(model), **options})


def MultiEmbedText(items: object, model: object = None, **options: Any) -> Out:
    """The vectors of several texts, each in an object as its `text`; as `embeddings`, each with
    its `vector`."""
    return made("MultiEmbedText", {"items": items, **_model(model), **options})


def _asked(given: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {**given, "temperature": 0.4, "max_tokens": None, **options}


def _model(name: object) -> dict[str, object]:
    """An endpoint takes no null for a model: it knows its own if there is none."""
    return {} if name is None else {"model": name}


def _prompt(prompt: Any, image_uris: Sequence[str] | None) -> Any:
    if not image_uris:
        return prompt
    images = [MediaPart(media_type="image/*", url=one) for one in image_uris]
    return [Message("user", (*images, TextPart(str(prompt))))]


async def _compute_text(prompt: Any, image_uris: Any = None, **parameters: Any) -> Output:
    asked = generate_text(_prompt(prompt, image_uris), **_renamed(parameters))
    with here().passing_on(asked):
        return Output(text=await asked)


async def _multi_text(prompt: Any, num_choices: int, **parameters: Any) -> Output:
    texts = await repeat(generate_text(prompt, **_renamed(parameters)), num_choices)
    return Output(choices=[Output(text=one) for one in texts])


async def _batch_text(prompts: Sequence[Any], **parameters: Any) -> Output:
    asked = [generate_text(one, **_renamed(parameters)) for one in prompts]
    return Output(outputs=[Output(text=one) for one in await gather(*asked)])


async def _compute_json(prompt: Any, json_schema: Any, **parameters: Any) -> Output:
    return Output(json_object=await generate_object(prompt, json_schema, **_renamed(parameters)))


async def _multi_json(prompt: Any, json_schema: Any, num_choices: int, **more: Any) -> Output:
    values = await repeat(generate_object(prompt, json_schema, **_renamed(more)), num_choices)
    return Output(choices=[Output(json_object=one) for one in values])


async def _batch_json(prompts: Sequence[Any], json_schema: Any, **more: Any) -> Output:
    asked = [generate_object(one, json_schema, **_renamed(more)) for one in prompts]
    return Output(outputs=[Output(json_object=one) for one in await gather(*asked)])


def _renamed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "system" if name == "system_prompt" else name: one
        for name, one in parameters.items()
        if one is not None
    }


async def _embed_text(text: str, model: str | None = None, **about: Any) -> Output:
    return Output(embedding=_embedding(await embed(text, model=model), about))


async def _multi_embed(items: Sequence[Mapping[str, Any]], model: str | None = None) -> Output:
    vectors = await embed([one["text"] for one in items], model=model)
    pairs = zip(vectors, items, strict=True)
    return Output(embeddings=[_embedding(vector, about) for vector, about in pairs])


def _embedding(vector: list[float], about: Mapping[str, Any]) -> Output:
    told = {name: about[name] for name in ("doc_id", "metadata") if about.get(name) is not None}
    return Output(vector=vector, **told)


async def _if(condition: Any, value_if_true: Any, value_if_false: Any = None) -> Output:
    return Output(result=await resolved(value_if_true if condition else value_if_false))


def _box(value: Any) -> Output:
    return Output(value=value)


async def _experimental(name: str, args: Mapping[str, Any], timeout: float = 60) -> Output:
    inner = attrs.evolve(made(name, args), timeout=timeout)
    return Output(output=await inner)


CARRIERS: dict[str, Any] = {
    "BatchComputeJSON": _batch_json,
    "BatchComputeText": _batch_text,
    "Box": _box,
    "ComputeJSON": _compute_json,
    "ComputeText": _compute_text,
    "EmbedText": _embed_text,
    "Experimental": _experimental,
    "If": _if,
    "MultiComputeJSON": _multi_json,
    "MultiComputeText": _multi_text,
    "MultiEmbedText": _multi_embed,
}
