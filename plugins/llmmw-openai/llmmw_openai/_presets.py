"""Hosts that speak OpenAI's wire, each as one row of data: where it is, and how it differs.

Facts: the hosts' own documentation and recorded traffic, summer 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from llmmw_openai._preset import LIMITS, OPENAI, SAMPLING, TOOLS, Preset

__all__ = ["PRESETS", "Preset"]

_MORE_SAMPLING = frozenset({"top_k", "min_p", "repetition_penalty"})
_PROMPT = frozenset({"prompt"})
_FIXED_SAMPLING = SAMPLING | {"logprobs", "logit_bias"}


def _row(name: str, title: str, base_url: str, key: str, **fields: object) -> Preset:
    keys = (key,) if key else ()
    return Preset(name=name, title=title, base_url=base_url, keys=keys, **fields)  # type: ignore[arg-type]


_ROWS = (
    _row(
        "openai",
        "OpenAI",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        responses=True,
        background=True,
        parameters=OPENAI | _PROMPT,
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
        "Azure OpenAI (the model is the deployment)",
        "{AZURE_OPENAI_ENDPOINT}/openai/v1",
        "AZURE_OPENAI_API_KEY",
        responses=True,
        background=True,
        deployments=True,
        bearer="AZURE_OPENAI_AD_TOKEN",
        parameters=OPENAI | _PROMPT,
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
        parameters=OPENAI | _PROMPT | _MORE_SAMPLING,
        schema="flat",
        logprobs="count",
        tool_choices=frozenset({"auto", "named"}),
    ),
    _row(
        "groq",
        "Groq",
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        responses=True,
        parameters=OPENAI - {"n", "logprobs", "logit_bias"},
        renamed={"max_output_tokens": "max_completion_tokens"},
        embeds=False,
    ),
    _row(
        "fireworks",
        "Fireworks AI",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        responses=True,
        parameters=(OPENAI | _PROMPT | _MORE_SAMPLING) - {"seed"},
        grammar="response_format",
        prices="fireworks-ai",
    ),
    _row(
        "deepseek",
        "DeepSeek",
        "https://api.deepseek.com",
        "DEEPSEEK_API_KEY",
        responses=True,
        parameters=OPENAI - {"seed", "logit_bias", "n", "parallel_tool_calls"},
        reasoning="thinking",
        echo_reasoning="reasoning_content",
        embeds=False,
    ),
    _row(
        "openrouter",
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        responses=True,
        parameters=OPENAI | _PROMPT | _MORE_SAMPLING,
        reasoning="object",
    ),
    _row(
        "mistral",
        "Mistral AI",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        parameters=OPENAI - {"logit_bias", "logprobs"},
        renamed={"seed": "random_seed", "dimensions": "output_dimension"},
        short_ids=True,
        usage_in_streams=False,
    ),
    _row("xai", "xAI", "https://api.x.ai/v1", "XAI_API_KEY", responses=True, embeds=False),
    _row(
        "perplexity",
        "Perplexity",
        "https://api.perplexity.ai",
        "PERPLEXITY_API_KEY",
        parameters=SAMPLING | {"max_output_tokens", "top_k", "output", "reasoning"},
        usage_in_streams=False,
        embeds=False,
    ),
    _row(
        "cerebras",
        "Cerebras",
        "https://api.cerebras.ai/v1",
        "CEREBRAS_API_KEY",
        parameters=OPENAI - {"frequency_penalty", "presence_penalty", "logit_bias"},
        renamed={"max_output_tokens": "max_completion_tokens"},
        embeds=False,
    ),
    _row(
        "moonshot",
        "Moonshot AI (Kimi)",
        "https://api.moonshot.ai/v1",
        "MOONSHOT_API_KEY",
        parameters=OPENAI - {"logit_bias", "logprobs", "seed", "parallel_tool_calls"},
        reasoning="thinking",
        echo_reasoning="reasoning_content",
        embeds=False,
    ),
    _row(
        "alibaba",
        "Alibaba Cloud Model Studio (Qwen)",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
        responses=True,
        parameters=(OPENAI | {"top_k"}) - {"logit_bias", "frequency_penalty"},
        reasoning="enable_thinking",
        most_inputs=10,
    ),
    _row(
        "zai",
        "Z.AI (GLM)",
        "https://api.z.ai/api/paas/v4",
        "ZAI_API_KEY",
        parameters=(LIMITS | TOOLS | {"temperature", "top_p", "output", "reasoning"})
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
        responses=True,
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
        parameters=OPENAI - {"seed", "logit_bias", "logprobs", "n"},
        renamed={"max_output_tokens": "max_completion_tokens"},
        reasoning="object",
        embeds=False,
    ),
    _row(
        "bedrock-mantle",
        "Amazon Bedrock, its OpenAI-compatible endpoint",
        "https://bedrock-mantle.{AWS_REGION}.api.aws/v1",
        "AWS_BEARER_TOKEN_BEDROCK",
        responses=True,
        renamed={"max_output_tokens": "max_completion_tokens"},
        prices="bedrock",
        embeds=False,
    ),
    _row(
        "vllm",
        "a vLLM server",
        "http://localhost:8000/v1",
        "VLLM_API_KEY",
        responses=True,
        key_needed=False,
        parameters=OPENAI | _PROMPT | _MORE_SAMPLING,
        grammar="structured_outputs",
        prices="",
    ),
    _row(
        "llama.cpp",
        "a llama.cpp server",
        "http://localhost:8080/v1",
        "LLAMA_API_KEY",
        responses=True,
        key_needed=False,
        parameters=OPENAI | _PROMPT | _MORE_SAMPLING,
        renamed={"repetition_penalty": "repeat_penalty"},
        grammar="grammar",
        prices="",
    ),
    _row(
        "ollama",
        "an Ollama server, over its OpenAI-compatible wire",
        "http://localhost:11434/v1",
        "OLLAMA_API_KEY",
        responses=True,
        key_needed=False,
        parameters=(OPENAI | _PROMPT) - {"logit_bias", "tool_choice", "parallel_tool_calls", "n"},
        prices="",
    ),
    _row(
        "lmstudio",
        "an LM Studio server",
        "http://localhost:1234/v1",
        "LMSTUDIO_API_KEY",
        responses=True,
        key_needed=False,
        parameters=(OPENAI | _PROMPT | _MORE_SAMPLING) - {"n", "parallel_tool_calls"},
        renamed={"repetition_penalty": "repeat_penalty"},
        prices="",
    ),
    _row(
        "voyage",
        "Voyage AI (vectors alone)",
        "https://api.voyageai.com/v1",
        "VOYAGE_API_KEY",
        parameters=frozenset(),
        generates=False,
        renamed={"dimensions": "output_dimension"},
        purpose="input_type",
        base64_vectors=True,
        most_inputs=1000,
    ),
    _row(
        "google-openai",
        "Google Gemini, its OpenAI-compatible endpoint",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        parameters=OPENAI - {"logit_bias", "seed"},
        prices="google",
    ),
    _row(
        "openai-compatible",
        "any host that speaks OpenAI's wire",
        "{OPENAI_COMPATIBLE_BASE_URL}",
        "OPENAI_COMPATIBLE_API_KEY",
        key_needed=False,
        parameters=OPENAI | _PROMPT | _MORE_SAMPLING,
        responses=True,
    ),
    _row(
        "open-responses",
        "any host that speaks Open Responses",
        "{OPEN_RESPONSES_BASE_URL}",
        "OPEN_RESPONSES_API_KEY",
        key_needed=False,
        api="responses",
        responses=True,
        embeds=False,
    ),
)

_TWIN = attrs.evolve(
    _ROWS[0],
    name="openai-responses",
    title="OpenAI, by its Responses API",
    api="responses",
    prices="openai",
)

PRESETS: Mapping[str, Preset] = {row.name: row for row in (*_ROWS, _TWIN)}
