"""Models of these tests: one that follows a script, and one that takes several prompts at once."""

from __future__ import annotations

import attrs
import trio

from llmmw import (
    Answers,
    Call,
    Capabilities,
    Client,
    Embed,
    Embeddings,
    Finish,
    Generate,
    Generation,
    Message,
    Response,
    Score,
    Scores,
    Together,
    Usage,
)
from llmmw.plugin import Provider
from llmmw.testing import SimulatedProvider


class Asked:
    """Runs flows over a scripted model, and keeps what it was asked."""

    def __init__(self, script="ok", *, can=None, stack=(), models=None):
        self.requests = []
        self.samples = []
        self._script = script
        scripts = {"m": self._answer, **(models or {})}
        self.provider = SimulatedProvider(scripts, able={"m": can} if can else {})
        self._stack = list(stack)

    def _answer(self, call, number):
        self.requests.append(call.request)
        self.samples.append(call.sample)
        script = self._script
        if isinstance(script, dict):
            return script[text_of(call.request)]
        if callable(script):
            return script(call, number)
        return script[min(number, len(script) - 1)] if isinstance(script, list) else script

    @property
    def prompts(self):
        """What was asked, as text."""
        return [text_of(one) for one in self.requests]

    def client(self):
        return Client("sim:m", stack=self._stack, providers=[self.provider])

    async def __call__(self, flow, **options):
        async with self.client() as client:
            return await client.run(flow, **options)


def text_of(request):
    if request.prompt is not None:
        return request.prompt
    return "\n".join(one.text for one in request.messages)


async def ran(flow, **options):
    """What a flow gives that asks no model."""
    async with Client(stack=[]) as client:
        return await client.run(flow, **options)


@attrs.define(eq=False)
class Many(Provider):
    """Takes one prompt or several at once, and answers each in capitals after a second."""

    name: str = attrs.field(default="many", kw_only=True)
    refuses: object = attrs.field(default=None, kw_only=True)
    scores: object = attrs.field(default=None, kw_only=True)
    sizes: list = attrs.field(factory=list, init=False)
    requests: list = attrs.field(factory=list, init=False)
    seconds: float = 1.0

    def capabilities(self, model: str) -> Capabilities:
        kinds = {Generate, Together, Embed, *([Score] if self.scores else [])}
        known = {"prompt", "temperature", "stop_sequences", "max_output_tokens"}
        return Capabilities(kinds=frozenset(kinds), parameters=frozenset(known))

    async def __call__(self, call: Call) -> Response:
        request = call.request
        self.requests.append(request)
        if isinstance(request, Score):
            scores = [self.scores(request.prompt, one) for one in request.options]
            return Scores(scores=scores, provider=self.name)
        rows = getattr(request, "requests", getattr(request, "inputs", [request]))
        self.sizes.append(len(rows))
        await trio.sleep(self.seconds)
        if self.refuses is not None and (error := self.refuses(request)) is not None:
            raise error
        if isinstance(request, Embed):
            return Embeddings(vectors=[[float(len(one))] for one in rows], provider=self.name)
        if isinstance(request, Together):
            return Answers(
                answers=[said(one) for one in rows], usage=Usage(input_tokens=1, output_tokens=1)
            )
        return said(request)

    def client(self, *stack):
        return Client(f"{self.name}:m", stack=list(stack), providers=[self])


def said(request):
    text = request.prompt if request.prompt is not None else request.messages[-1].text
    return Generation(message=Message("assistant", text.upper()), finish=Finish("stop"))
