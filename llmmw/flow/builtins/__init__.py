"""The builtins that flows are made of, one idea a file.

    parameters   what calls to models take, and the request it makes
    text         generate, generate_text, generate_texts, generate_content
    typed        generate_object
    formats      how a conversation is written as plain text
    chat         chat, instruct
    choose       score_text, ranking, rank, select
    embed        embed
    tokens       tokenize, detokenize, count_tokens
    tools        run_tool, call_tools, converse, use_tools

Each is a plugin like any other: `llmmw plugins` lists them, `Registry.builtin(name)` finds them.
"""
