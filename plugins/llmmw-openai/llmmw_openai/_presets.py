"""Hosts that speak OpenAI's wire, each as one row of data: where it is, and how it differs.

Facts: the hosts' own documentation and recorded traffic, summer 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

__all__ = ["PRESETS", "Preset"]

_SAMPLING = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})
_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
_LIMITS = frozenset({"max_output_tokens", "stop_sequences"})
_OPENAI = (
    _SAMPLING | _TOOLS | _LIMITS | {"seed", "logit_bias", "logprobs", "n", "output", "reasoning"}
)
_MORE_SAMPLING = frozenset({"top_k", "min_p", "repetition_penalty"})
_PROMPT = frozenset({"prompt"})
_FIXED_SAMPLING = _SAMPLING | {"logprobs", "logit_bias"}


@attrs.frozen(kw_only=True)
class Preset:
    """One host. The defaults are those of most of them."""

    name: str
    title: str
    base_url: str
    """`{NAME}` in it stands for an environment variable; `<NAME>_BASE_URL` replaces it."""
    keys: tuple[str, ...]
    """The environment variables that may hold the key."""
    key_needed: bool = True
    prices: str | None = None
    """The host's name in tables of prices; default: `name`. Empty: it costs nothing."""
    header: str = "Authorization"
    scheme: str = "Bearer "
    parameters: frozenset[str] = _OPENAI
    """The parameters of `Generate` that it honours."""
    refuses: tuple[tuple[str, frozenset[str]], ...] = ()
    """Patterns of models, and the parameters that these do not take all the same."""
    embeds: bool = True
    renamed: Mapping[str, str] = attrs.field(factory=dict)
    """Parameters that have another name on this host."""
    usage_in_streams: bool = True
    """Whether a stream must be asked to tell its usage."""
    reasoning: Literal["effort", "object", "thinking", "enable_thinking"] = "effort"
    """How a `Reasoning` is asked for."""
    echo_reasoning: str | None = None
    """The field of an assistant's message in which the host wants its reasoning back, as long
    as tool calls go on."""
    schema: Literal["nested", "flat"] = "nested"
    """Whether a JSON schema stands in `response_format.json_schema.schema`, or one higher."""
    grammar: Literal["structured_outputs", "grammar", "response_format"] | None = None
    """Where grammars and choices go, on hosts that have them."""
    logprobs: Literal["chat", "count"] = "chat"
    """`logprobs` as a boolean beside `top_logprobs`, or as a number."""
    tool_choices: frozenset[str] = frozenset({"auto", "none", "required", "named"})
    allowed_tools: bool = False
    """Whether it takes a choice limited to some of the tools."""
    base64_vectors: bool = False
    """Whether it gives vectors in the shorter form."""
    most_inputs: int = 2048
    """Texts that one request for vectors may have."""
    short_ids: bool = False
    """Whether the ids of tool calls must be nine letters or digits."""


def _row(name: str, title: str, base_url: str, key: str, **fields: object) -> Preset:
    keys = (key,) if key else ()
    return Preset(name=name, title=title, base_url=base_url, keys=keys, **fields)  # type: ignore[arg-type]


_ROWS = (
    _row(
        "openai",
        "OpenAI",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        parameters=_OPENAI | _PROMPT,
        refuses=(
            (r"o\d(-|$)", _FIXED_SAMPLING),
            (r"gpt-5(-mini|-nano|-pro|-codex)?(-\d{4}-\d\d-\d\d)?$", _FIXED_SAMPLING),
            (r"gpt-(3\.5|4)", frozenset({"reasoning"})),
        ),
        renamed={"max_output_tokens": "max_completion_tokens"},
        allowed_tools=True,
        base64_vectors=True,
    ),
    _row(
        "azure",
        "Azure OpenAI (v1 API; the model is the deployment)",
        "{AZURE_OPENAI_ENDPOINT}/openai/v1",
        "AZURE_OPENAI_API_KEY",
        parameters=_OPENAI | _PROMPT,
        header="api-key",
        scheme="",
        renamed={"max_output_tokens": "max_completion_tokens"},
        allowed_tools=True,
        base64_vectors=True,
    ),
    _row(
        "together",
        "Together AI",
        "https://api.together.xyz/v1",
        "TOGETHER_API_KEY",
        parameters=_OPENAI | _PROMPT | _MORE_SAMPLING,
        schema="flat",
        logprobs="count",
        tool_choices=frozenset({"auto", "named"}),
    ),
    _row(
        "groq",
        "Groq",
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        parameters=_OPENAI - {"n", "logprobs", "logit_bias"},
        renamed={"max_output_tokens": "max_completion_tokens"},
        embeds=False,
    ),
    _row(
        "fireworks",
        "Fireworks AI",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        parameters=(_OPENAI | _PROMPT | _MORE_SAMPLING) - {"seed"},
        grammar="response_format",
        prices="fireworks-ai",
    ),
    _row(
        "deepseek",
        "DeepSeek",
        "https://api.deepseek.com",
        "DEEPSEEK_API_KEY",
        parameters=_OPENAI - {"seed", "logit_bias", "n", "parallel_tool_calls"},
        reasoning="thinking",
        echo_reasoning="reasoning_content",
        embeds=False,
    ),
    _row(
        "openrouter",
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        parameters=_OPENAI | _PROMPT | _MORE_SAMPLING,
        reasoning="object",
    ),
    _row(
        "mistral",
        "Mistral AI",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        parameters=_OPENAI - {"logit_bias", "logprobs"},
        renamed={"seed": "random_seed", "dimensions": "output_dimension"},
        short_ids=True,
        usage_in_streams=False,
    ),
    _row("xai", "xAI", "https://api.x.ai/v1", "XAI_API_KEY", embeds=False),
    _row(
        "perplexity",
        "Perplexity",
        "https://api.perplexity.ai",
        "PERPLEXITY_API_KEY",
        parameters=_SAMPLING | {"max_output_tokens", "top_k", "output", "reasoning"},
        usage_in_streams=False,
        embeds=False,
    ),
    _row(
        "cerebras",
        "Cerebras",
        "https://api.cerebras.ai/v1",
        "CEREBRAS_API_KEY",
        parameters=_OPENAI - {"frequency_penalty", "presence_penalty", "logit_bias"},
        renamed={"max_output_tokens": "max_completion_tokens"},
        embeds=False,
    ),
    _row(
        "moonshot",
        "Moonshot AI (Kimi)",
        "https://api.moonshot.ai/v1",
        "MOONSHOT_API_KEY",
        parameters=_OPENAI - {"logit_bias", "logprobs", "seed", "parallel_tool_calls"},
        reasoning="thinking",
        echo_reasoning="reasoning_content",
        embeds=False,
    ),
    _row(
        "alibaba",
        "Alibaba Cloud Model Studio (Qwen)",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
        parameters=(_OPENAI | {"top_k"}) - {"logit_bias", "frequency_penalty"},
        reasoning="enable_thinking",
        most_inputs=10,
    ),
    _row(
        "zai",
        "Z.AI (GLM)",
        "https://api.z.ai/api/paas/v4",
        "ZAI_API_KEY",
        parameters=(_LIMITS | _TOOLS | {"temperature", "top_p", "output", "reasoning"})
        - {"parallel_tool_calls"},
        reasoning="thinking",
        echo_reasoning="reasoning_content",
        tool_choices=frozenset({"auto"}),
        embeds=False,
    ),
    _row(
        "huggingface",
        "Hugging Face Inference Providers",
        "https://router.huggingface.co/v1",
        "HF_TOKEN",
        embeds=False,
    ),
    _row(
        "crusoe",
        "Crusoe",
        "https://managed-inference-api-proxy.crusoecloud.com/v1",
        "CRUSOE_API_KEY",
        embeds=False,
    ),
    _row(
        "snowflake",
        "Snowflake Cortex",
        "https://{SNOWFLAKE_ACCOUNT}.snowflakecomputing.com/api/v2/cortex/v1",
        "SNOWFLAKE_PAT",
        parameters=_OPENAI - {"seed", "logit_bias", "logprobs", "n"},
        renamed={"max_output_tokens": "max_completion_tokens"},
        reasoning="object",
        embeds=False,
    ),
    _row(
        "bedrock-mantle",
        "Amazon Bedrock, its OpenAI-compatible endpoint",
        "https://bedrock-mantle.{AWS_REGION}.api.aws/v1",
        "AWS_BEARER_TOKEN_BEDROCK",
        renamed={"max_output_tokens": "max_completion_tokens"},
        prices="bedrock",
        embeds=False,
    ),
    _row(
        "vllm",
        "a vLLM server",
        "http://localhost:8000/v1",
        "VLLM_API_KEY",
        key_needed=False,
        parameters=_OPENAI | _PROMPT | _MORE_SAMPLING,
        grammar="structured_outputs",
        prices="",
    ),
    _row(
        "llama.cpp",
        "a llama.cpp server",
        "http://localhost:8080/v1",
        "LLAMA_API_KEY",
        key_needed=False,
        parameters=_OPENAI | _PROMPT | _MORE_SAMPLING,
        renamed={"repetition_penalty": "repeat_penalty"},
        grammar="grammar",
        prices="",
    ),
    _row(
        "ollama",
        "an Ollama server, over its OpenAI-compatible wire",
        "http://localhost:11434/v1",
        "OLLAMA_API_KEY",
        key_needed=False,
        parameters=(_OPENAI | _PROMPT) - {"logit_bias", "tool_choice", "parallel_tool_calls", "n"},
        prices="",
    ),
    _row(
        "lmstudio",
        "an LM Studio server",
        "http://localhost:1234/v1",
        "LMSTUDIO_API_KEY",
        key_needed=False,
        parameters=(_OPENAI | _PROMPT | _MORE_SAMPLING) - {"n", "parallel_tool_calls"},
        renamed={"repetition_penalty": "repeat_penalty"},
        prices="",
    ),
)

PRESETS: Mapping[str, Preset] = {row.name: row for row in _ROWS}
