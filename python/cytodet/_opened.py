"""What models, slides and graphs have in common: a handle of the library that is opened, used by threads, and closed."""
from __future__ import annotations

import os
from typing import Any, Callable, Dict, Generic, Optional, Type, TypeVar

from cytodet import _process
from cytodet._errors import Error, usage

_Handle = TypeVar("_Handle")
_Self = TypeVar("_Self", bound="Opened[Any]")


class Opened(Generic[_Handle]):
    """Opened from a path with options, by which another process opens it again."""

    _not_opened: Optional[Error] = None  # why there is nothing to use, of an object that another process sent
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
        return _open_again, (type(self), self._options, os.path.abspath(self.path))

    def __getattr__(self, name: str) -> Any:
        not_opened = self.__dict__.get("_not_opened")
        if not_opened is None or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise not_opened

    def close(self) -> None:
        """Frees what was opened once the calls that use it have ended. Closing twice is allowed."""
        self._handle = None

    def _opened(self) -> _Handle:
        handle = self._handle
        if self._not_opened is not None:
            raise self._not_opened
        if handle is None:
            raise usage(self.path, f"{self._advice[0]} is closed", self._advice[1])
        _process.check_owner(self.path, self._owner)
        return handle


def _open_again(kind: Type[_Self], options: Dict[str, Any], path: str) -> _Self:
    """What another process sent. Where it cannot be opened here, its use raises the error, which an exception now would keep from
    the caller: a worker of a multiprocessing.Pool that cannot read its task ends without a word, and the pool waits for it.
    """
    make: Callable[..., _Self] = kind
    try:
        return make(path, **options)
    except Error as e:
        stub = kind.__new__(kind)
        stub.path, stub._handle, stub._options, stub._owner, stub._not_opened = path, None, options, os.getpid(), e
        return stub
