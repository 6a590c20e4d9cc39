"""Text for every question: two hosts with two models each, retried, falling back, in order.

    python docs/examples/always_answer.py < docs/examples/questions.jsonl > answers.jsonl

The keys are in OPENAI_API_KEY and TOGETHER_API_KEY; with one of them, its host does all the work.
"""

import json
import string
import sys

import attrs
from rich.console import Console
from rich.progress import Progress

from llmmw import Attempts, Fallback, Generate, Retry, Timeout, sync
from llmmw.errors import LLMError, ProtocolError


@attrs.frozen
class Model:
    """A model with the prompt, a template over a question's fields, and the parameters it gets."""

    target: str
    template: str
    parameters: dict = attrs.field(factory=dict)
    raw: bool = False  # a completion of the bare prompt instead of a chat

    def request(self, question):
        names = {name for _, name, *_ in string.Formatter().parse(self.template) if name}
        if not isinstance(question, dict) or not names <= question.keys():
            raise ValueError(f"{self.target} needs {', '.join(sorted(names))}; given: {question!r}")
        text = self.template.format_map(question)
        asked = Generate(prompt=text) if self.raw else Generate(messages=text)
        return asked.replace(model=self.target, metadata=question, **self.parameters)


MODELS = (
    Model("openai:gpt-4o-mini", "{prompt}", {"max_output_tokens": 300, "temperature": 0.2}),
    Model("together:meta-llama/Llama-3.3-70B-Instruct-Turbo", "{prompt}", {"top_k": 40}),
    Model("openai:gpt-4o", "In one sentence: {prompt}", {"max_output_tokens": 100}),
    Model("together:mistralai/Mixtral-8x7B-v0.1", "Q: {prompt}\nA:", {"top_p": 0.9}, raw=True),
)


async def need_text(call, rest):
    response = await rest(call)
    if not response.text.strip():
        raise ProtocolError("the answer has no text", partial=response)
    return response


def stack(models, *, timeout=60, rounds=2, base=0.5):
    """Ask one model after the other, then all again `rounds` times, for at most `timeout` s."""
    others = [lambda asked, model=model: model.request(asked.metadata) for model in models[1:]]
    attempts = Attempts(Fallback(on={LLMError: others}), Retry(rounds * len(models), base=base))
    return [Timeout(total=timeout), attempts, Timeout(total=timeout / 3), need_text]


def generate(questions, models=MODELS, *, workers=8, options=None, **limits):
    """A row with a text or an error for each question, in their order."""
    asked = [[model.request(question) for model in models] for question in questions]
    first = [requests[0] for requests in asked]  # the others told what is missing
    targets = [model.target for model in models]
    client = sync.Client(*targets, stack=stack(models, **limits), options=options)
    with client, Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("answers", total=len(first))

        def show(seen):
            bar.update(task, completed=seen.done)

        with client.map(first, concurrency=workers, errors="yield", progress=show) as items:
            return [row(item) for item in items]


def row(item):
    if item.error is not None:
        return {"error": str(item.error)}
    return {"text": item.response.text, "model": f"{item.response.provider}:{item.response.model}"}


if __name__ == "__main__":
    for answer in generate([json.loads(line) for line in sys.stdin]):
        print(json.dumps(answer))
