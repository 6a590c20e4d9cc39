"""The server that tests are answered by: it says what it is told to, and sees who leaves."""

import socket

import httpx
import pytest
import trio

from llmmw.testing import Answer, Received, open_server


async def test_answers_in_turn_the_last_one_again() -> None:
    answers = [Answer(status=201, headers={"X-A": "1"}, body=b"one"), Answer(body=b"two")]
    async with open_server(answers) as server, httpx.AsyncClient() as client:
        told = [await client.post(f"{server.url}/v1?a=b", json={"k": 1}) for _ in range(3)]
        assert [one.text for one in told] == ["one", "two", "two"]
        assert (told[0].status_code, told[0].headers["x-a"]) == (201, "1")
        assert (server.connections, server.alive) == (1, 1)
        first = server.requests[0]
        assert (first.method, first.path, first.json()) == ("POST", "/v1?a=b", {"k": 1})
        assert first.headers["content-type"] == "application/json"
        assert not server.left.is_set()


async def test_a_function_of_the_request() -> None:
    async def answer(received: Received) -> Answer:
        return Answer(body=received.body.upper())

    async with open_server(answer) as server, httpx.AsyncClient() as client:
        assert (await client.post(server.url, content=b"hi")).text == "HI"


async def test_pieces_at_once_are_pieces_still() -> None:
    rows = [bytes([one]) for one in range(256)]
    async with open_server(Answer(pieces=[*rows, b""], at_once=True)) as server:
        async with httpx.AsyncClient() as client, client.stream("GET", server.url) as told:
            assert [piece async for piece in told.aiter_bytes()] == rows
        async with httpx.AsyncClient() as client:
            assert (await client.get(server.url)).content == b"".join(rows)


async def test_pieces_come_one_by_one() -> None:
    seen = trio.Event()
    async with open_server(Answer(pieces=[b"a", b"", seen.wait, b"b"])) as server:
        async with httpx.AsyncClient() as client, client.stream("GET", server.url) as told:
            pieces = []
            async for piece in told.aiter_bytes():
                pieces.append(piece)
                seen.set()
    assert pieces == [b"a", b"b"]


async def test_a_line_that_is_cut() -> None:
    async with open_server(Answer(pieces=[b"a"], cut=True)) as server:
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(server.url)


async def test_a_client_that_leaves() -> None:
    async with open_server(Answer(pieces=[b"a", trio.sleep_forever])) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", int(server.url.rpartition(":")[2]))
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await stream.receive_some()
        begun = trio.current_time()
        await stream.aclose()
        with trio.fail_after(2):
            await server.left.wait()
            await server.idle.wait()
        assert begun <= server.left_at <= trio.current_time()
        assert server.alive == 0


@pytest.mark.parametrize(
    "sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HT", b"nonsense\r\n\r\n"]
)
async def test_a_client_that_speaks_no_http(sent: bytes) -> None:
    async with open_server(Answer()) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", int(server.url.rpartition(":")[2]))
        if sent:
            await stream.send_all(sent)
        with trio.fail_after(2):
            try:
                await stream.send_eof()
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
            await stream.aclose()
            await server.idle.wait()
        assert server.requests == []


async def test_what_a_test_raises_ends_it() -> None:
    async def answer(received: Received) -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with open_server(answer) as server, httpx.AsyncClient() as client:
            await client.get(server.url)


async def test_the_port_is_free_afterwards() -> None:
    async with open_server(Answer()) as server:
        port = int(server.url.rpartition(":")[2])
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))
