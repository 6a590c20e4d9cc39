"""What users see of `Batch`, and what no drawn world has."""

import contextvars
from decimal import Decimal

import attrs
import pytest
import trio

from llmmw import (
    Answers,
    Attempts,
    Batch,
    Call,
    Capabilities,
    Client,
    Coalesce,
    Concurrency,
    Embed,
    Embeddings,
    Generate,
    Generation,
    Hedge,
    Message,
    RateLimit,
    Retry,
    Timeout,
    Together,
    Usage,
    chain,
)
from llmmw._ledger import AttemptSent, BatchJoined, BatchSplit
from llmmw.errors import (
    BadRequest,
    ConfigError,
    ContentFiltered,
    DeadlineExceeded,
    Overloaded,
    ProtocolError,
    UnsupportedFeature,
)
from llmmw.plugin import Provider
from llmmw.testing import open_host

pytestmark = pytest.mark.virtual


@attrs.define(eq=False)
class Far(Provider):
    """Embeds a text as the number that it is; answers a prompt in capitals."""

    seconds: float = attrs.field(default=1.0, kw_only=True)
    refuse: object = attrs.field(default=None, kw_only=True)
    several: bool = attrs.field(default=True, kw_only=True)
    change: object = attrs.field(default=None, kw_only=True)
    seen: list = attrs.field(factory=list, init=False)
    cancelled: int = attrs.field(default=0, init=False)

    def capabilities(self, model):
        kinds = frozenset({Embed, Generate, *([Together] if self.several else [])})
        return Capabilities(kinds=kinds, parameters=frozenset({"prompt", "temperature"}))

    async def __call__(self, call):
        request = call.request
        self.seen.append(request)
        try:
            await trio.sleep(self.seconds)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        if self.refuse is not None and (error := self.refuse(request)) is not None:
            raise error
        answer = self.answer(request)
        return answer if self.change is None else self.change(answer)

    def answer(self, request):
        if isinstance(request, Embed):
            usage = Usage(input_tokens=2 * len(request.inputs) + 1, cost=Decimal("0.01"))
            vectors = [[float(text)] for text in request.inputs]
            return Embeddings(vectors=vectors, usage=usage, model="m", provider=self.name)
        if isinstance(request, Together):
            usage = Usage(input_tokens=10, output_tokens=100)
            rows = [self.answer(one) for one in request.requests]
            return Answers(answers=[attrs.evolve(row, usage=None) for row in rows], usage=usage)
        if request.prompt is None:
            return Generation(message=Message("assistant", "a chat"))
        usage = Usage(input_tokens=5, output_tokens=5)
        return Generation(message=Message("assistant", request.prompt.upper()), usage=usage)

    @property
    def sizes(self):
        return [len(getattr(r, "inputs", getattr(r, "requests", "1"))) for r in self.seen]


def client_of(*stack, **options):
    far = Far(name="far", **options)
    return far, Client("far:m", stack=stack or [Batch()], providers=[far])


async def at_once(*functions):
    """What they return or raise, in order."""
    results = [None] * len(functions)

    async def run(k):
        try:
            results[k] = await functions[k]()
        except Exception as error:
            results[k] = error

    async with trio.open_nursery() as nursery:
        for k in range(len(functions)):
            nursery.start_soon(run, k)
    return results


def embeds(client, *texts, **fields):
    return [lambda text=text: client.embed(text, **fields) for text in texts]


def prompts(client, *texts, **fields):
    return [lambda text=text: client.ask(Generate(prompt=text, **fields)) for text in texts]


async def test_calls_at_once_are_one_request_and_each_has_its_own():
    far, client = client_of()
    async with client:
        told = await at_once(*embeds(client, "1", "2", ("3", "4"), "5"))
        assert trio.current_time() == 1  # nobody waits for what does not come
        assert client.stack[0].statistics() == {
            "batches": 1, "calls": 4, "alone": 0, "split": 0
        }  # fmt: skip
    assert [one.vectors for one in told] == [((1,),), ((2,),), ((3,), (4,)), ((5,),)]
    assert [sorted(one.inputs) for one in far.seen] == [["1", "2", "3", "4", "5"]]
    assert sum(one.usage.input_tokens for one in told) == 11
    assert told[2].usage.input_tokens in {4, 5}  # for two texts of five
    assert sum(one.usage.cost for one in told) == Decimal("0.01")


async def test_prompts_go_together_where_the_target_takes_several():
    far, client = client_of()
    async with client:
        told = await at_once(*prompts(client, "a", "b" * 36, temperature=0.5))
    assert [one.text for one in told] == ["A", "B" * 36]
    assert [type(one) for one in far.seen] == [Together]
    assert sum(one.usage.output_tokens for one in told) == 100
    assert told[0].usage.output_tokens in {9, 10}  # what came for it, of what came for all


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {"several": False}),
        ({"top_k": 1, "unsupported": "drop"}, {}),
    ],
)
async def test_what_the_target_does_not_take_as_it_is_goes_alone(fields, options):
    far, client = client_of(**options)
    async with client:
        told = await at_once(*prompts(client, "a", "b", **fields))
    assert [one.text for one in told] == ["A", "B"]
    assert far.sizes == [1, 1]


async def test_what_a_target_refuses_is_refused_to_each():
    far, client = client_of()
    async with client:
        told = await at_once(*prompts(client, "a", "b", top_k=1))
    assert [type(one) for one in told] == [UnsupportedFeature] * 2
    assert far.seen == []


async def test_chats_pass():
    far, client = client_of()
    async with client:
        told = await at_once(lambda: client.ask("hi"), lambda: client.ask("hi"))
    assert [one.text for one in told] == ["a chat"] * 2
    assert len(far.seen) == 2


async def test_what_counts_as_alike():
    far, client = client_of()
    call = client.embed
    async with client:
        await at_once(
            lambda: call("1"),
            lambda: call("2", metadata={"for": "me"}),
            lambda: call("3", dimensions=1),
            lambda: call("4", dimensions=True),
            lambda: call("5", model="far:n"),
            lambda: call("6", extra={"far": {"a": 1}}),
            lambda: call("7", extra={"far": {"a": True}}),
            lambda: call("8", purpose="query"),
            lambda: call("9", unsupported="drop"),
        )
    assert sorted(sorted(one.inputs) for one in far.seen) == [
        ["1", "2"], ["3"], ["4"], ["5"], ["6"], ["7"], ["8"], ["9"]
    ]  # fmt: skip


async def test_tenants_do_not_share():
    far, client = client_of()
    async with client:
        await at_once(
            lambda: client.ask(Generate(prompt="a"), tenant="t"),
            lambda: client.ask(Generate(prompt="b"), tenant="u"),
            lambda: client.ask(Generate(prompt="c"), tenant="u"),
            lambda: client.ask(Generate(prompt="d", seed=None), tenant="u", sample=3),
        )
    assert sorted(far.sizes) == [1, 3]


def test_every_field_of_a_request_is_one_of_a_batch_or_of_its_calls():
    """Whoever adds a field decides whether calls that differ in it may go together."""
    inner = {"inputs", "metadata"}
    shape = {"model", "extra", "unsupported", "dimensions", "purpose"}
    assert {field.name for field in attrs.fields(Embed)} == inner | shape


async def test_a_batch_is_sent_when_it_is_full_and_another_begins():
    far, client = client_of(Batch(max_size=4))
    async with client:
        told = await at_once(*embeds(client, *map(str, range(10))))
    assert [one.vectors[0][0] for one in told] == list(range(10))
    assert sorted(far.sizes) == [2, 4, 4]


async def test_batches_are_cut_by_tokens():
    far, client = client_of(Batch(max_tokens=4))
    async with client:
        await at_once(*embeds(client, "10000", "1", "1", "1", "1", "1000000000000000"))
    assert max(sum(-(-len(text) // 4) for text in one.inputs) for one in far.seen) == 4
    assert ("1000000000000000",) in [one.inputs for one in far.seen]


async def test_it_can_be_switched_off():
    far, client = client_of(Batch(max_size=1))
    async with client:
        await at_once(*embeds(client, *"123"))
    assert far.sizes == [1, 1, 1]


async def test_nobody_waits_longer_than_allowed_while_more_come():
    clock = trio.lowlevel.current_clock()
    far, client = client_of(Batch(max_wait=0.25))
    async with client, trio.open_nursery() as nursery:
        for k in range(100):
            nursery.start_soon(client.embed, str(k))
            clock.jump(1 / 64)
            await trio.lowlevel.checkpoint()
    assert max(far.sizes) <= 20
    assert len(far.seen) >= 5


async def test_no_wait_at_all():
    far, client = client_of(Batch(max_wait=0))
    async with client:
        await at_once(*embeds(client, *"123"))
    assert far.sizes == [3]


async def test_batches_are_full_through_flights_hedges_and_retries():
    stack = [
        Timeout(total=60),
        Coalesce(),
        Attempts(Retry(2), Hedge(5.0)),
        Batch(max_size=25),
        Timeout(total=30, first_token=20),
    ]
    far, client = client_of(*stack)
    async with client:
        told = await at_once(*embeds(client, *map(str, range(100))), *prompts(client, *"abcdefgh"))
    assert sorted(far.sizes) == [8, 25, 25, 25, 25]
    assert [one.vectors[0][0] for one in told[:100]] == list(range(100))
    assert [one.text for one in told[100:]] == list("ABCDEFGH")


async def test_who_streams_goes_alone():
    far, client = client_of()

    async def hear(delta):
        pass

    async with client:
        told = await at_once(
            lambda: client.ask(Generate(prompt="a"), listener=hear), *prompts(client, "b", "c")
        )
    assert [one.text for one in told] == ["A", "B", "C"]
    assert sorted(far.sizes) == [1, 2]


async def test_an_error_of_all_is_each_ones_own():
    far, client = client_of(refuse=lambda request: Overloaded("busy", status=529))
    async with client:
        one, two = await at_once(*embeds(client, "1", "2"))
    assert (type(one), type(two)) == (Overloaded, Overloaded)
    assert one is not two
    assert far.sizes == [2]  # no halves of what is nobody's fault


async def test_retries_outside_meet_in_a_batch_again():
    errors = iter([Overloaded("busy", retry_after=1.0)])
    far, client = client_of(Retry(1), Batch(), refuse=lambda request: next(errors, None))
    async with client:
        told = await at_once(*embeds(client, "1", "2", "3"))
    assert [one.vectors[0][0] for one in told] == [1, 2, 3]
    assert far.sizes == [3, 3]


@pytest.mark.parametrize("kind", [BadRequest, ContentFiltered])
async def test_only_the_call_that_spoiled_a_batch_fails(kind):
    def refuse(request):
        return kind("no") if "13" in request.inputs else None

    far, client = client_of(refuse=refuse)
    async with client:
        told = await at_once(*embeds(client, *map(str, range(16))))
    assert type(told.pop(13)) is kind
    assert [one.vectors[0][0] for one in told] == [k for k in range(16) if k != 13]
    assert sorted(far.sizes) == [1, 1, 2, 2, 4, 4, 8, 8, 16]
    assert trio.current_time() == 5  # both halves at the same time
    first = min(told, key=lambda one: len(one.ledger.events))
    events = first.ledger.events
    assert [e.number for e in events if isinstance(e, BatchSplit)] == [1]
    assert [e.calls for e in events if isinstance(e, BatchJoined)] == [16, 8]
    assert "batch 1 is split in two" in first.explain()


async def test_who_is_left_of_a_spoiled_batch_asks_alone():
    far, client = client_of(refuse=lambda r: BadRequest("no") if "1" in r.inputs else None)

    async def leaves():
        with trio.move_on_after(0.5):
            await client.embed("1")

    async with client:
        _, told = await at_once(leaves, *embeds(client, "2"))
    assert told.vectors == ((2,),)
    assert far.sizes == [2, 1]


def _too_few(answer):
    return attrs.evolve(answer, vectors=answer.vectors[:-1])


def _too_many(answer):
    return attrs.evolve(answer, vectors=(*answer.vectors, (0.0,)))


def _another(answer):
    return Generation()


@pytest.mark.parametrize("change", [_too_few, _too_many, _another])
async def test_an_answer_of_another_length_is_nobodys(change):
    _far, client = client_of(change=change)
    async with client:
        told = await at_once(*embeds(client, "1", "2", "3"))
    assert [type(one) for one in told] == [ProtocolError] * 3
    assert "3 were asked for" in str(told[0])
    assert told[0].retryable
    assert told[0].processed


async def test_an_error_of_one_is_its_own():
    def change(answers):
        rows = [row if row.text != "B" else Overloaded("this one") for row in answers.answers]
        return attrs.evolve(answers, answers=rows, provider="far")

    _far, client = client_of(change=change)
    async with client:
        a, b, c = await at_once(*prompts(client, "a", "b", "c"))
    assert (a.text, c.text) == ("A", "C")
    assert "this one" in str(b)
    assert b.provider == "far"
    assert a.usage.output_tokens + c.usage.output_tokens == 100


async def test_who_leaves_harms_nobody_and_the_last_ends_it():
    far, client = client_of(seconds=10)

    async def leaves(text, after):
        with trio.move_on_after(after):
            await client.embed(text)

    async with client:
        _, told = await at_once(lambda: leaves("1", 1), lambda: client.embed("2"))
        assert told.vectors == ((2,),)
        assert told.usage.input_tokens == 5  # all of it: who has left pays nothing
        assert far.cancelled == 0
        await at_once(lambda: leaves("1", 1), lambda: leaves("2", 2))
        assert trio.current_time() == 12
        assert far.cancelled == 1


async def test_its_deadline_is_the_latest_of_its_calls():
    far, client = client_of(seconds=10)
    async with client:
        one, two, three = await at_once(
            lambda: client.embed("1", timeout=3),
            lambda: client.embed("2", timeout=5),
            lambda: client.embed("3", timeout=4),
        )
    assert [type(one) for one in (one, two, three)] == [DeadlineExceeded] * 3
    assert [error.after for error in (one, two, three)] == [3, 5, 4]
    assert far.cancelled == 1
    assert trio.current_time() == 5


async def test_a_closed_host_ends_its_batches():
    far = Far(name="far", seconds=10)
    errors = []
    async with trio.open_nursery() as nursery:
        async with open_host() as host:
            handler = chain(Batch(), provider=far)

            async def ask(text):
                try:
                    await handler(Call(Embed(model="far:m", inputs=text), host=host))
                except RuntimeError as error:
                    errors.append(str(error))

            nursery.start_soon(ask, "1")
            nursery.start_soon(ask, "2")
            await trio.sleep(1)
    assert errors == ["the background work was cancelled, or its host has closed"] * 2
    assert trio.current_time() == 1


async def test_each_ledger_says_which_batch_and_when_it_was_sent():
    _far, client = client_of(Batch(), Concurrency(1))
    async with client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.embed, "0")
            await trio.sleep(0.5)
            told = await at_once(*embeds(client, "1", "2"))
    for one in told:
        (joined,) = [e for e in one.ledger.events if isinstance(e, BatchJoined)]
        assert (joined.time, joined.calls) == (0.5, 2)
        (sent,) = [e for e in one.ledger.events if isinstance(e, AttemptSent)]
        assert sent.time == 1  # it waited for its place
        assert "of 2 calls" in one.explain()
    assert sum("ahead" in one.explain() for one in told) == 1  # what else it met, the first tells


async def test_a_hedge_counts_from_the_sending_of_the_batch():
    stack = [Hedge(1.5, max_hedges=1), Batch(), Concurrency(1)]
    far, client = client_of(*stack)
    async with client:
        await at_once(*embeds(client, "1", "2"), *embeds(client, "3", "4", dimensions=1))
    assert far.sizes == [2, 2]  # the second waited for 1 s and was sent for 1 s


async def test_limits_of_attempts_outside_count_from_the_sending():
    _far, client = client_of(Retry(0), Timeout(total=1.5), Batch(), Concurrency(1))
    async with client:
        told = await at_once(*embeds(client, "1", "2"), *embeds(client, "3", "4", dimensions=1))
    assert [type(one) for one in told] == [Embeddings] * 4


async def test_a_limit_of_rate_is_charged_one_request_and_all_tokens():
    limit = RateLimit(requests=1, input_tokens=1000, per=1, burst=100)
    _far, client = client_of(Batch(), limit)
    async with client:
        await at_once(*embeds(client, *"12345"), *prompts(client, "a" * 40, "b" * 40))
    assert limit.statistics()["far"]["charged"] == {
        "requests": 2,
        "input_tokens": pytest.approx(21),
    }


async def test_context_variables_are_those_of_one_of_its_calls():
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    async def look(call, next):
        seen.append(variable.get())
        return await next(call)

    _far, client = client_of(Batch(), look)
    async with client:
        variable.set("here")
        await at_once(*embeds(client, "1", "2"))
    assert seen == ["here"]


async def test_attempts_inside_are_made_for_the_batch():
    errors = iter([Overloaded("busy")])
    far, client = client_of(Batch(), Retry(1), refuse=lambda request: next(errors, None))
    async with client:
        one, two = await at_once(*embeds(client, "1", "2"))
    assert far.sizes == [2, 2]
    assert (one.vectors, two.vectors) == (((1,),), ((2,),))
    assert "attempt 2" in one.explain() + two.explain()


async def test_it_needs_a_host():
    far = Far(name="far")
    with pytest.raises(ConfigError, match="Batch needs a host"):
        await chain(Batch(), provider=far)(Call(Embed(model="far:m", inputs="1")))


@pytest.mark.parametrize("options", [{"max_size": 0}, {"max_tokens": 0.5}, {"max_wait": -1}])
def test_options(options):
    with pytest.raises(ConfigError, match=r"Batch\("):
        Batch(**options)


def test_another_model_is_one_for_all():
    asked = Together(model="a:b", requests=[Generate(model="a:b", prompt="x")])
    other = asked.replace(model="c:d")
    assert (other.model, other.requests[0].model) == ("c:d", "c:d")


@pytest.mark.parametrize("_", range(10))  # in each trio's order of tasks may be another
async def test_all_leave_at_the_moment_of_a_split(_):
    scopes = [trio.CancelScope() for _ in range(4)]

    def hear(event):
        if isinstance(event, BatchSplit):
            for scope in scopes:
                scope.cancel()

    far = Far(name="far", refuse=lambda request: BadRequest("no"))
    batch = Batch()

    async def ask(k):
        with scopes[k]:
            await client.embed(str(k))

    async with Client("far:m", stack=[batch], providers=[far], instruments=[hear]) as client:
        told = await at_once(*(lambda k=k: ask(k) for k in range(4)))
    assert told == [None] * 4
    assert far.sizes[0] == 4
    assert far.cancelled == len(far.sizes) - 1
    counts = batch.statistics()
    assert counts["batches"] == len(far.sizes)  # none goes for nobody


async def test_a_call_that_was_sent_keeps_its_limits():
    """A layer of yours asks twice with one attempt: its limit runs on."""

    async def twice(call, next):
        await next(call)
        return await next(call)

    far, client = client_of(Retry(0), Timeout(total=1.5), twice, Batch())
    async with client:
        told = await at_once(*embeds(client, "1", "2"))
    assert [type(one) for one in told] == [DeadlineExceeded] * 2
    assert far.sizes == [2, 2]
