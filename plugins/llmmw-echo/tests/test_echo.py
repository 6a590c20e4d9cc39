"""What a user of the template sees."""

import pytest

from llmmw import Client
from llmmw.errors import UnsupportedFeature


async def test_says_what_it_hears() -> None:
    async with Client("echo:any") as client:
        response = await client.ask("good  morning, world")
        assert response.text == "good  morning, world"
        assert (response.provider, response.finish_reason) == ("echo", "stop")


async def test_streams_a_piece_a_word() -> None:
    async with Client("echo:any") as client, client.stream("to be or not") as stream:
        assert [piece async for piece in stream.text] == ["to", " be", " or", " not"]
        assert stream.response.text == "to be or not"


async def test_refuses_what_it_is_no_answer_to() -> None:
    async with Client("echo:any") as client:
        with pytest.raises(UnsupportedFeature, match="does not answer Embed"):
            await client.embed("hello")
