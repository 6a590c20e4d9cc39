"""The smallest provider: says what it hears. Copy it to begin one of your own."""

import re

import attrs

from llmmw import Finish, Generate, Response
from llmmw.plugin import Call, Capabilities, Provider, ResponseBuilder, Spec, hookimpl


@attrs.define(eq=False)
class Echo(Provider):
    """Answers with the words of the last message, one piece a word."""

    name: str = attrs.field(default="echo", kw_only=True)

    def capabilities(self, model: str) -> Capabilities:
        """It generates text; `parameters=` would name the parameters that it honours, `media=` and
        `outputs=` what it takes in messages and the forms of answer that it can be bound to."""
        return Capabilities(kinds=frozenset({Generate}))

    async def __call__(self, call: Call) -> Response:
        asked = call.request
        assert isinstance(asked, Generate)
        answer = ResponseBuilder(call, self.name)
        for piece in re.split(r"(?=\s)", asked.prompt or asked.messages[-1].text):
            await answer.text(piece)
        return await answer.finish(Finish("stop"))


@hookimpl
def llmmw_providers() -> list[Spec]:
    """The name that users type, and what makes the provider when they do."""
    return [Spec("echo", "llmmw_echo:Echo", "says what it hears")]
