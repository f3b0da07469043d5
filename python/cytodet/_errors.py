"""What goes wrong."""
from __future__ import annotations

from typing import Any


class Error(Exception):
    """A file, graph or slide that cannot be used as it is.

    The text is one line, "WHERE: PROBLEM; ADVICE", the same that the program prints; the parts are `where` (file, parameter or
    setting, then the place in it), `problem` and `advice`, each perhaps empty.
    """

    def __init__(self, message: str, where: str = "", problem: str = "", advice: str = "") -> None:
        super().__init__(message)
        self.where, self.problem, self.advice = where, problem, advice

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.where, self.problem, self.advice)


class UsageError(Error, ValueError):
    """The caller asked for something that cannot be: an array of another shape, an unknown setting, a closed object."""


class StoppedError(Error):
    """The call was stopped before there was anything to return."""


class OutOfMemoryError(Error, MemoryError):
    """Memory ran out."""


_KINDS = {2: UsageError, 4: StoppedError, 5: OutOfMemoryError}  # values of cytodet::ErrorKind


def make(kind: int, message: str, where: str, problem: str, advice: str) -> Error:
    """The exception of a kind of cytodet::ErrorKind."""
    return _KINDS.get(kind, Error)(message, where, problem, advice)


def usage(where: str, problem: str, advice: str = "") -> UsageError:
    """UsageError in the form of the library's."""
    return UsageError(f"{where}: {problem}" + (f"; {advice}" if advice else ""), where, problem, advice)


def out_of_memory(where: str, problem: str, advice: str) -> OutOfMemoryError:
    return OutOfMemoryError(f"{where}: {problem}; {advice}", where, problem, advice)
