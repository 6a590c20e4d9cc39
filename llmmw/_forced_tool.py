"""JSON by way of a tool, for targets that call tools but take no schema for their answers.

The schema becomes the parameters of a tool that the model must call; the arguments of its call
become the text of the answer. `through_tool` is middleware that does both around a provider.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from llmmw._call import Call, Listener
from llmmw._chain import Handler
from llmmw._deltas import Delta, PartDelta, PartEnd, PartStart, ResponseStart, Restarted
from llmmw._listen import with_partial
from llmmw._messages import Message
from llmmw._output import JsonObject, JsonSchema
from llmmw._parts import Part, ReasoningPart, TextPart, ToolCallPart
from llmmw._request import Generate
from llmmw._response import Finish, Generation, Response
from llmmw._strict import has_root, with_root
from llmmw._tools import Tool, ToolNames
from llmmw.errors import LLMError, UnsupportedFeature

__all__ = ["AnswerOfTool", "answered", "forced", "through_tool"]


async def through_tool(call: Call, next: Handler) -> Response:
    """Answer a call whose request has `JsonSchema` or `JsonObject` for its output by a tool. Others
    pass as they are.

    Raises:
        UnsupportedFeature: for a prompt without messages, and a schema of what is no object.
    """
    request = call.request
    output = request.output if isinstance(request, Generate) else None
    if not isinstance(request, Generate) or not isinstance(output, (JsonSchema, JsonObject)):
        return await next(call)
    asked, name = forced(request)
    return await AnswerOfTool(name)(call.replace(request=asked), next)


@attrs.frozen
class AnswerOfTool:
    """Makes the answer out of the call of a tool that was forced."""

    name: str

    async def __call__(self, call: Call, next: Handler) -> Response:
        telling = None if call.listener is None else _Telling(self.name, call.listener)
        try:
            response = await next(call if telling is None else call.replace(listener=telling))
        except LLMError as error:
            if not isinstance(error.partial, Generation):
                raise
            cut = with_partial(error, answered(error.partial, self.name, is_whole=False))
        else:
            if telling is not None:
                await telling.finish()
            return answered(response, self.name) if isinstance(response, Generation) else response
        raise cut


def forced(request: Generate) -> tuple[Generate, str]:
    """The request with a tool for its output, and the name of the tool.

    Of the request's own tools the model may call one instead, as it might with a schema. Where it
    must call one of them anyway, there is no answer to give a form to.

    Raises:
        UnsupportedFeature: for a prompt without messages, and a schema of what is no object.
    """
    tool = _tool(request)
    if request.prompt is not None or not has_root(tool.parameters):
        what = "a prompt" if request.prompt is not None else "a schema of what is no object"
        raise UnsupportedFeature(f"a tool can't stand in for the output= of {what}")
    if request.tool_choice == "required" or isinstance(request.tool_choice, ToolNames):
        return request.replace(output=None), tool.name
    free = bool(request.tools) and request.tool_choice != "none"
    choice = "required" if free else ToolNames(tool.name)
    return request.replace(output=None, tools=(*request.tools, tool), tool_choice=choice), tool.name


def _tool(request: Generate) -> Tool:
    output = request.output
    if not isinstance(output, JsonSchema):
        output = JsonSchema({"type": "object"})
    taken = {tool.name for tool in request.tools if isinstance(tool, Tool)}
    name = output.name
    while name in taken:
        name += "_"
    does = "Gives the answer, in the form that is asked for."
    text = f"{does} {output.description}" if output.description else does
    return Tool(name, text, with_root(output.schema))  # hosts without schemas know no `strict`


def answered(response: Generation, name: str, *, is_whole: bool = True) -> Generation:
    """The response with the arguments of the tool's call for its text. What was said around the
    call is told as reasoning, so that the text is the answer alone."""
    message = _answered(response.message, name, is_whole)
    several = []
    for one in response.candidates:
        told = _answered(one.message, name, is_whole)
        several.append(attrs.evolve(one, message=told, finish=_end(one.finish, told)))
    finish = _end(response.finish, message)
    return response.replace(message=message, candidates=tuple(several), finish=finish)


def _answered(message: Message, name: str, is_whole: bool) -> Message:
    if not any(_is_answer(part, name) for part in message.parts):
        return message
    parts = (
        _text_of(part, is_whole) if _is_answer(part, name) else _aside(part)
        for part in message.parts
    )
    return attrs.evolve(message, parts=tuple(parts))


def _end(finish: Finish | None, message: Message) -> Finish | None:
    calls = any(isinstance(part, ToolCallPart) and not part.server for part in message.parts)
    if finish is None or calls or finish.reason != "tool_call":
        return finish
    return attrs.evolve(finish, reason="stop")


def _is_answer(part: Part, name: str) -> bool:
    return isinstance(part, ToolCallPart) and part.name == name and not part.server


def _text_of(part: Part, is_whole: bool) -> TextPart:
    assert isinstance(part, ToolCallPart)
    no_members = is_whole and not part.arguments.strip()
    return TextPart("{}" if no_members else part.arguments, extra=part.extra)


def _aside(part: Part) -> Part:
    if not isinstance(part, TextPart) or part.refusal:
        return part
    return ReasoningPart(part.text, id=part.id, extra=part.extra)


@attrs.define(eq=False)
class _Telling:
    """Tells the deltas of the answer as they come. A text is held until it is known whether it is
    the answer or was said around it."""

    name: str
    listener: Listener
    _held: list[Delta] = attrs.field(factory=list)
    _texts: set[tuple[int, int]] = attrs.field(factory=set)
    _answers: dict[tuple[int, int], bool] = attrs.field(factory=dict)
    """Parts that are the answer, and whether anything was told of them."""

    async def __call__(self, delta: Delta) -> None:
        if isinstance(delta, Restarted):
            self._held.clear()
            self._texts.clear()
            self._answers.clear()
        if isinstance(delta, (Restarted, ResponseStart)):
            await self.listener(delta)
            return
        place = (delta.candidate, delta.index)
        if isinstance(delta, PartStart) and _is_answer(delta.part, self.name):
            self._answers[place] = False
            await self._tell_asides(delta.candidate)
        elif isinstance(delta, PartStart) and _aside(delta.part) is not delta.part:
            self._texts.add(place)
        if place in self._texts and delta.candidate not in {one for one, _ in self._answers}:
            self._held.append(delta)
            return
        for one in self._changed(delta, place):
            await self.listener(one)

    def _changed(
        self, delta: PartStart | PartDelta | PartEnd, place: tuple[int, int]
    ) -> Iterator[Delta]:
        if place in self._texts:
            yield _as_aside(delta)
        elif place not in self._answers:
            yield delta
        elif isinstance(delta, PartDelta):
            self._answers[place] = self._answers[place] or bool(delta.arguments)
            yield attrs.evolve(delta, text=delta.arguments, arguments="")
        elif isinstance(delta, PartStart):
            text = _text_of(delta.part, is_whole=False)
            self._answers[place] = bool(text.text)
            yield attrs.evolve(delta, part=text)
        else:
            text = _text_of(delta.part, is_whole=True)
            if not self._answers[place]:
                yield PartDelta(index=delta.index, candidate=delta.candidate, text=text.text)
            yield attrs.evolve(delta, part=text)

    async def _tell_asides(self, candidate: int) -> None:
        held, self._held = self._held, []
        for delta in held:
            assert not isinstance(delta, (Restarted, ResponseStart))
            if delta.candidate == candidate:
                await self.listener(_as_aside(delta))
            else:
                self._held.append(delta)

    async def finish(self) -> None:
        """Tell the texts that were held: without a call, they are the answer."""
        for delta in self._held:
            await self.listener(delta)


def _as_aside(delta: Delta) -> Delta:
    if isinstance(delta, (PartStart, PartEnd)):
        return attrs.evolve(delta, part=_aside(delta.part))
    if isinstance(delta, PartDelta):
        return attrs.evolve(delta, citation=None, logprobs=())
    return delta
