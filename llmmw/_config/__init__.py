"""The configuration: read from a TOML file, written as one, and judged.

_file          Config, load_config, to_toml: which file, and what stands in it
_read, _write  tables to layers and options, and back
_signature     which options a factory takes, by its type hints
_place, _toml  file and key for messages; the text of TOML
_accounts      the providers that a configuration uses
_advice        what is doubtful about a stack
"""
