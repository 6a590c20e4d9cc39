"""The smallest provider: says what it hears. Copy it to begin one of your own."""

import attrs

from llmmw import Finish, Response
from llmmw.plugin import Call, Provider, ResponseBuilder, Spec, hookimpl


@attrs.define(eq=False)
class Echo(Provider):
    """Answers with the words of the last message, one piece a word."""

    name: str = attrs.field(default="echo", kw_only=True)

    async def __call__(self, call: Call) -> Response:
        answer = ResponseBuilder(call, self.name)
        for word in call.request.messages[-1].text.split(" "):
            await answer.text(f" {word}" if answer.fold.anything else word)
        return await answer.finish(Finish("stop"))


@hookimpl
def llmmw_providers() -> list[Spec]:
    """The name that users type, and what makes the provider when they do."""
    return [Spec("echo", "llmmw_echo:Echo", "says what it hears")]
