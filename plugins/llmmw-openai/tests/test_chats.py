"""What another provider is made with, whose host speaks this wire beside one of its own."""

from __future__ import annotations

import attrs
import pytest
from llmmw_openai import Preset
from llmmw_openai.chats import Chats

from llmmw import Call, Client, Generate
from llmmw.plugin import Provider
from llmmw.testing import open_server
from llmmw.wire import Http, Key, Secret

pytestmark = pytest.mark.plugins

ROW = Preset(name="mine", title="Mine", base_url="", keys=())


@attrs.define(eq=False, kw_only=True)
class Mine(Provider):
    """A provider that keeps its own connections, key and paths."""

    chats: Chats

    def open(self, host):
        return self.chats.http.open()

    async def __call__(self, call: Call):
        assert isinstance(call.request, Generate)
        return await self.chats.generate(call, call.request.replace(temperature=0.5))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_of_another_host(wire, stream):
    row = wire.chat({"content": "so"})
    answer = wire.events(wire.chunk({"content": "so"}, "stop")) if stream else wire.whole(row)
    async with open_server(answer) as server:
        key = Key(Secret("key-of-mine-0123456789"))
        http = Http(base_url=server.url, key=key, header="x-key", scheme="")
        chats = Chats(name="own", preset=ROW, http=http, path=lambda api, model: f"/{model}{api}")
        asked = Generate(messages=["hi"], extra={"mine": {"a": 1}, "own": {"b": 2}})
        async with Client("own:m", providers=[Mine(name="own", chats=chats)]) as client:
            if stream:
                async with client.stream(asked) as told:
                    response = await told.wait_response()
            else:
                response = await client.ask(asked)
    (received,) = server.requests
    assert (response.text, response.provider) == ("so", "own")
    assert received.path == "/m/chat/completions"
    assert received.headers["x-key"] == "key-of-mine-0123456789"
    body = received.json()
    assert (body["temperature"], body["a"], body["b"]) == (0.5, 1, 2)
    assert "key-of-mine" not in repr(chats)
