"""Conversations, as messages and as plain text."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from llmmw import Client, MediaPart, Message
from llmmw.errors import BadRequest
from llmmw.flow import FORMATTERS, Formatter, Turn, chat, generate_text, instruct, registry
from llmmw.sim import SimulatedProvider

pytestmark = pytest.mark.virtual


@pytest.fixture(autouse=True)
def _own_registry():
    with registry():
        yield


async def asked_for(flow, script=" ok"):
    """What the model is asked, and what the flow gives."""
    requests = []

    def answer(call, number):
        requests.append(call.request)
        return script

    async with Client("sim:m", stack=[], providers=[SimulatedProvider({"m": answer})]) as client:
        value = await client.run(flow)
    return requests, value


RULES = (
    '**System**: Actor "Model" needs to obey the following rules when generating the messages '
    "below:\n"
)

# O42
GOLDEN = [
    ([("user", "Hello!")], "Task: Hello!\nAnswer:"),
    ([("user", "  Hello!")], "Task: Hello!\nAnswer:"),
    ([("user", "")], "Task:\nAnswer:"),
    ([("user", "Hello!"), ("assistant", "")], "Task: Hello!\nAnswer:"),
    ([("user", "Hello!"), ("assistant", "Hey")], "Task: Hello!\nAnswer: Hey"),
    (
        [("system", "Any instructions"), ("user", "Hello!")],
        f"{RULES}Any instructions\n**User**: Hello!\n**Model**:",
    ),
    (
        [("system", "Any instructions"), ("user", "Hello!"), ("system", "No instructions")],
        f"{RULES}Any instructions\n**User**: Hello!\n{RULES}No instructions\n**Model**:",
    ),
    (
        [("system", ""), ("user", "Hello!"), ("system", "Any"), ("system", "No")],
        f"**User**: Hello!\n{RULES}Any\n{RULES}No\n**Model**:",
    ),
    (
        [("user", "Hi"), ("assistant", "Hey"), ("user", "Bye")],
        "**User**: Hi\n**Model**: Hey\n**User**: Bye\n**Model**:",
    ),
    (
        [("user", "Hi"), ("assistant", "Hey"), ("user", "Bye"), ("assistant", "So")],
        "**User**: Hi\n**Model**: Hey\n**User**: Bye\n**Model**: So",
    ),
]


@pytest.mark.parametrize(("messages", "text"), GOLDEN)
def test_default_prompts(messages, text) -> None:  # O42
    assert FORMATTERS["default"].format(messages).text == text


def test_concat_and_gemma_prompts() -> None:  # O42
    messages = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hey"), ("user", "Bye")]
    assert FORMATTERS["concat"].format(messages).text == "Be kind.HiHeyBye"
    assert FORMATTERS["gemma"].format(messages).text == (
        "<start_of_turn>user\nBe kind.\n\nHi<end_of_turn>\n"
        "<start_of_turn>model\nHey<end_of_turn>\n"
        "<start_of_turn>user\nBye<end_of_turn>\n"
        "<start_of_turn>model\n"
    )
    begun = FORMATTERS["gemma"].format([*messages, ("assistant", "So")]).text
    assert begun.endswith("<end_of_turn>\n<start_of_turn>model\nSo")
    alone = FORMATTERS["gemma"].format([("system", "Be kind.")]).text
    assert alone == "<start_of_turn>user\nBe kind.<end_of_turn>\n<start_of_turn>model\n"


@pytest.mark.parametrize("name", FORMATTERS)
def test_text_is_what_a_user_says_and_nothing_is_nothing(name) -> None:  # O42
    form = FORMATTERS[name].format
    assert form("Hello!") == form([("user", "Hello!")]) == form(Message("user", "Hello!"))
    assert form("").text == form([]).text == form(()).text == ""


def test_what_is_written_so_already() -> None:  # O42
    form = FORMATTERS["default"].format
    written = form("Hello!").text
    with pytest.raises(BadRequest, match=r"'default': the prompt has 'Task:' in it.*'concat'"):
        form(written)
    kept = form(written, if_formatted="keep")
    assert kept.text == written
    assert kept.stop_sequences == ("\nTask:", "\n**User**:")
    with pytest.raises(BadRequest, match="'<start_of_turn>'"):
        FORMATTERS["gemma"].format(FORMATTERS["gemma"].format("x").text)
    assert FORMATTERS["concat"].format(written).text == written


def test_roles_that_a_formatter_does_not_know() -> None:  # O42
    form = FORMATTERS["default"].format
    messages = [("user", "Hi"), ("tool", "5")]
    with pytest.raises(BadRequest, match="knows no role 'tool', only user, assistant, system"):
        form(messages)
    assert form(messages, if_unknown_role="drop").text == "Task: Hi\nAnswer:"
    assert form([("tool", "5")], if_unknown_role="drop").text == ""
    image = MediaPart(media_type="image/png", url="http://x/a.png")
    with pytest.raises(BadRequest, match="the formatter 'default' takes text alone, and no media"):
        form([Message("user", (image,))])


async def test_as_messages_to_models_made_for_that() -> None:  # O34, O35
    requests, value = await asked_for(chat([("user", "a"), ("assistant", "b"), ("user", "c")]))
    assert value == " ok"
    assert [m.text for m in requests[0].messages] == ["a", "b", "c"]
    requests, _ = await asked_for(instruct("Do it", "Sure:", temperature=0))
    assert [(m.role, m.text) for m in requests[0].messages] == [
        ("user", "Do it"),
        ("assistant", "Sure:"),
    ]
    assert requests[0].temperature == 0


async def test_as_text_to_all_others() -> None:  # O34, O35
    requests, value = await asked_for(instruct("Do it", formatter="default"))
    assert value == " ok"
    assert requests[0].prompt == "Task: Do it\nAnswer:"
    assert requests[0].stop_sequences == ("\nTask:", "\n**User**:")
    requests, _ = await asked_for(instruct("Do it", "Sure:", formatter="default"))
    assert requests[0].prompt == "Task: Do it\nAnswer: Sure:"
    requests, _ = await asked_for(
        chat([("user", "Hi")], formatter="default", system="Be kind", stop=["!", "\nTask:"])
    )
    assert requests[0].prompt == f"{RULES}Be kind\n**User**: Hi\n**Model**:"
    assert requests[0].stop_sequences == ("!", "\nTask:", "\n**User**:")


async def test_the_formatter_may_be_a_default_or_ones_own() -> None:  # O35
    def write(turns: list[Turn]) -> str:
        return "|".join(one.text for one in turns) + "|"

    own = Formatter(name="bars", roles={"user": "u"}, write=write, stop_sequences=("|",))
    with registry(formatter=own):
        requests, _ = await asked_for(instruct("Do it"))
        assert (requests[0].prompt, requests[0].stop_sequences) == ("Do it|", ("|",))
    chat.update(formatter="concat")
    requests, _ = await asked_for(chat("Do it"))
    assert requests[0].prompt == "Do it"
    with pytest.raises(BadRequest, match="formatter='api': expected messages, default, concat"):
        await asked_for(chat("Do it", formatter="api"))


async def test_another_chat_carries_out_instruct() -> None:  # O34, O25
    def of_mine(messages, formatter, **parameters):
        return f"{[one.text for one in messages]} {formatter}"

    chat.configure(of_mine)
    _, value = await asked_for(instruct("Do it", "So"))
    assert value == "['Do it', 'So'] messages"
    chat.update(formatter="gemma")
    with registry():
        generate_text.configure(lambda prompt, raw=None: f"{prompt}{raw}")
        chat.configure(chat.default)
        _, value = await asked_for(instruct("Do it", formatter="concat"))
        assert value == "Do itTrue"


def test_stops_are_in_the_same_order_in_every_process() -> None:  # O35, defect 18
    code = (
        "from llmmw.flow import FORMATTERS\n"
        "print([one.format('x').stop_sequences for one in FORMATTERS.values()])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
