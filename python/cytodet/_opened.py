"""What models, slides and graphs have in common: a handle of the library that is opened, used by threads, and closed."""
from __future__ import annotations

import functools
import os
from typing import Any, Dict, Generic, Optional, TypeVar

from cytodet import _process
from cytodet._errors import usage

_Handle = TypeVar("_Handle")
_Self = TypeVar("_Self", bound="Opened[Any]")


class Opened(Generic[_Handle]):
    """Opened from a path with options, by which another process opens it again."""

    _advice = ("the file", "open it again")  # of a closed one: what is closed, what to do

    def _open(self, path: bytes, handle: _Handle, options: Dict[str, Any]) -> _Handle:
        """The handle. options: keyword arguments of the constructor."""
        self.path: str = os.fsdecode(path)
        self._handle: Optional[_Handle] = handle
        self._options = options
        self._owner = os.getpid()
        return handle

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *unused: Any) -> None:
        self.close()

    def __reduce__(self) -> Any:
        return functools.partial(type(self), **self._options), (os.path.abspath(self.path),)

    def close(self) -> None:
        """Frees what was opened once the calls that use it have ended. Closing twice is allowed."""
        self._handle = None

    def _opened(self) -> _Handle:
        handle = self._handle
        if handle is None:
            raise usage(self.path, f"{self._advice[0]} is closed", self._advice[1])
        _process.check_owner(self.path, self._owner)
        return handle
