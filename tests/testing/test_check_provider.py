"""The battery for providers: a good one passes, each defect is found by the check for it."""

from __future__ import annotations

import json
from contextlib import aclosing, asynccontextmanager

import attrs
import pytest
import trio

from llmmw import Finish, Generate, Usage
from llmmw.errors import BadRequest, LLMError, ProtocolError
from llmmw.plugin import Capabilities, Provider, ResponseBuilder
from llmmw.testing import Exchange, check_provider
from llmmw.wire import Http, Key, Secret, dumps, loads


@attrs.define(eq=False, kw_only=True)
class Parrot(Provider):
    """A host that repeats, spoken to rightly but for one defect."""

    marks_sent = True

    name: str = "parrot"
    base_url: str
    api_key: str | Secret = attrs.field(repr=False)
    defect: str = ""
    _http: Http = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        key = Key(self.api_key)
        self.api_key = key.source
        if self.defect == "shows the key":
            self.name = "parrot"
            self.defect = f"shows the key {key.source.reveal()}"
        self._http = Http(base_url=self.base_url, key=key)

    def capabilities(self, model: str) -> Capabilities:
        names = {"max_output_tokens", "temperature"}
        if self.defect == "promises what there is not":
            names.add("loudness")
        return Capabilities(kinds=frozenset({Generate}), parameters=frozenset(names))

    @asynccontextmanager
    async def open(self, host):
        async with self._http.open():
            yield

    async def __call__(self, call):
        try:
            return await self._said(call)
        except LLMError as error:
            if self.defect == "has one error for all" and error.status:
                raise BadRequest("no", status=error.status) from error
            raise

    async def _said(self, call):
        request, stream = call.request, call.listener is not None
        body = {"text": request.messages[-1].text, "words": request.max_output_tokens}
        if self.defect != "drops a parameter":
            body["heat"] = request.temperature
        answer = ResponseBuilder(call, self.name, request.model_name)

        def sent():
            if self.defect != "does not mark":
                call.attempt.mark_sent(call.ledger)

        async with self._http.post("/say", dumps(body), stream=stream, sent=sent) as reply:
            if not stream or reply.content_type != "text/event-stream":
                told = loads(await reply.read())
                self._check(told)
                await answer.text(told["said"])
                return await answer.finish(Finish("stop"), usage=Usage(output_tokens=told["n"]))
            async with aclosing(reply.events()) as events:
                async for event in events:
                    told = loads(event.data)
                    self._check(told)
                    await answer.text(told.get("word", ""))
                    if "end" in told:
                        if self.defect == "says more when it streams":
                            await answer.text("!")
                        return await answer.finish(Finish("stop"), usage=Usage(output_tokens=2))
        if self.defect == "takes any end for the end":
            return await answer.finish(Finish("stop"))
        raise answer.interrupted("the stream ended before the answer did")

    def _check(self, told) -> None:
        if (
            self.defect == "is strict"
            and isinstance(told, dict)
            and told.keys() - {"said", "n", "word", "end"}
        ):
            raise ProtocolError("an unknown field")
        if self.defect == "trusts what it reads":
            return
        if not isinstance(told, dict) or not told.keys() & {"said", "word", "end"}:
            raise ProtocolError("the host sent no words")


WORDS = [{"word": "pretty"}, {"word": " bird ü"}, {"end": 1}]
EXCHANGE = Exchange(
    request=Generate(messages=["hello"]),
    body=json.dumps({"said": "pretty bird ü", "n": 2}).encode(),
    stream="".join(f"data: {json.dumps(w, ensure_ascii=False)}\n\n" for w in WORDS).encode(),
)


def maker(defect: str):
    return lambda base_url, key: Parrot(base_url=base_url, api_key=key, defect=defect)


async def test_a_good_one_passes() -> None:
    await check_provider(maker(""), EXCHANGE)


@pytest.mark.parametrize(
    ("defect", "found"),
    [
        ("promises what there is not", "is honest about what it can: .*loudness"),
        ("does not mark", "answers whole: the request left before"),
        ("says more when it streams", "streams the same: streamed"),
        ("takes any end for the end", "never takes a cut stream for an answer: cut at byte"),
        ("has one error for all", "tells errors by their class: 401 .* BadRequest"),
        ("trusts what it reads", "it raised (KeyError|AttributeError|TypeError)"),
        ("is strict", "ignores what it does not know: "),
        ("shows the key", "tells nobody the key: "),
        ("drops a parameter", "sends what it says it honours: temperature"),
    ],
)
async def test_a_defect_is_found(defect: str, found: str) -> None:
    with pytest.raises(AssertionError, match=found):
        await check_provider(maker(defect), EXCHANGE)


class Deaf(Parrot):
    """Goes on reading for a while when nobody listens any more."""

    async def __call__(self, call):
        with trio.move_on_after(0.5, shield=True):
            return await super().__call__(call)
        await trio.lowlevel.checkpoint()
        raise ProtocolError("no answer came")


async def test_one_that_holds_on_is_found(monkeypatch) -> None:
    monkeypatch.setattr("llmmw.testing._provider_battery._AT_ONCE", 0.05)
    checked = lambda base_url, key: Deaf(base_url=base_url, api_key=key)  # noqa: E731
    with pytest.raises(AssertionError, match="hangs up when it is cancelled: "):
        await check_provider(checked, EXCHANGE)
