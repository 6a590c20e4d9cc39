"""How a command ends: every error becomes one message on stderr and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from llmmw.errors import ConfigError, LLMError

__all__ = ["Failed", "Interrupted", "Misused", "one_message", "reason_of", "tame"]

FAILED, WRONG, LIMITED, PIPE_CLOSED, INTERRUPTED = 1, 2, 3, 141, 130

_KEPT = {ord("\n"), ord("\t")}
_TAMED = {code: 0xFFFD for code in (*range(32), 127, *range(128, 160)) if code not in _KEPT}


def tame(text: str) -> str:
    """Text without control characters: a model's words must not steer a terminal."""
    return text.translate(_TAMED)


class Failed(click.ClickException):
    """Ends the command with a message and an exit status."""

    exit_code = FAILED

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.echo(f"Error: {tame(self.message)}", file=file, err=True)


class Misused(Failed):
    """The command or the configuration is wrong; nothing was asked."""

    exit_code = WRONG


class Interrupted(Failed):
    """Ctrl-C; the message says what is kept."""

    exit_code = INTERRUPTED

    def __init__(self, message: str = "") -> None:
        super().__init__(message)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it on a line of its own, since the terminal stands after `^C`."""
        tail = f": {self.message}" if self.message else ""
        click.echo(f"\nInterrupted{tail}", file=file, err=True)


@contextmanager
def one_message() -> Iterator[None]:
    """Turns what the block raises into what click prints and exits with.

    What is left is a defect of ours and keeps its traceback.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        raise Interrupted from None
    except BrokenPipeError:
        _drop_stdout()
        raise click.exceptions.Exit(PIPE_CLOSED) from None
    except ConfigError as error:
        raise Misused(str(error)) from error
    except LLMError as error:
        raise Failed(_told(error)) from error
    except OSError as error:
        _drop_stdout()
        raise Failed(reason_of(error)) from error


def _told(error: LLMError) -> str:
    tries = f" (after {len(error.attempts)} attempts)" if len(error.attempts) > 1 else ""
    return f"{type(error).__name__}: {error}{tries}"


def reason_of(error: OSError) -> str:
    """What the system says, with the file's name where it is known."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def _drop_stdout() -> None:
    """Whatever still waits to be written would fail again when the interpreter ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        return  # no file stands behind it, so nothing is flushed into one
