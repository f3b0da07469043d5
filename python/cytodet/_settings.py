"""Python's arguments as settings of the library."""
from __future__ import annotations

import json
import math
import os
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from cytodet._errors import UsageError, usage

PathLike = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


def path_bytes(path: PathLike, what: str = "path") -> bytes:
    """A path as the file system has it."""
    try:
        text = os.fsencode(path)
    except TypeError:
        raise usage(what, f"is {type(path).__name__}", "give a path") from None
    if not text or b"\0" in text:
        raise usage(what, "is no path: " + repr(path))
    return text


def nested(values: Mapping[str, Any]) -> Dict[str, Any]:
    """{"a.b": 1, "c": None} as {"a": {"b": 1}}: what is None is left out."""
    out: Dict[str, Any] = {}
    for key, value in values.items():
        if value is None:
            continue
        *folders, last = key.split(".")
        place = out
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return out


def laid_over(base: Dict[str, Any], more: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """`base` with the keys of `more`, which win; objects in both are joined."""
    for key, value in (more or {}).items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            laid_over(base[key], value)
        else:
            base[key] = value
    return base


def plain(value: Any) -> Any:
    """What json does not know, numbers of numpy and paths, as what it knows."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise usage("settings", f"hold {type(value).__name__}", "use numbers, texts, lists and dicts")


def _numbers(values: Any, key: str = "settings") -> Iterator[Tuple[str, float]]:
    """The floats in settings, each with the key that holds it."""
    if isinstance(values, Mapping):
        for k, v in values.items():
            yield from _numbers(v, str(k))
    elif isinstance(values, (list, tuple)):
        for v in values:
            yield from _numbers(v, key)
    elif isinstance(values, float):
        yield key, values
    elif hasattr(values, "tolist"):
        yield from _numbers(values.tolist(), key)


def text_of(values: Mapping[str, Any]) -> str:
    """JSON for the library."""
    try:
        return json.dumps(values, default=plain, allow_nan=False)
    except UsageError:
        raise
    except (TypeError, ValueError) as e:
        for key, value in _numbers(values):
            if not math.isfinite(value):
                raise usage(key, f"is {value}", "give a finite number") from None
        raise usage("settings", str(e)) from None


def names(value: Union[None, str, List[str]]) -> List[str]:
    """A list of names, also where one text is given."""
    return [] if value is None else [value] if isinstance(value, str) else list(value)
