"""What several tests of flows use."""

import pytest

from llmmw.flow import generate_text, registry


@pytest.fixture
def seen():
    """The prompts of a model that answers with their number of characters, or of messages."""
    prompts = []

    async def answer(prompt):
        prompts.append(prompt)
        return f"<{len(prompt)}>"

    with registry():
        generate_text.configure(answer)
        yield prompts
