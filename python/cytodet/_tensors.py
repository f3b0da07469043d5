"""Tensors of the library as arrays of numpy."""
from __future__ import annotations

from typing import Any, Dict, Iterable, Tuple

import numpy as np

from cytodet._errors import usage

# Names of cytodet_dtype's values, TensorFlow's; numpy's name where it has the type.
NAMES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 9: "int64", 10: "bool",
         11: "qint8", 12: "quint8", 13: "qint32", 14: "bfloat16", 15: "qint16", 16: "quint16", 17: "uint16", 19: "float16",
         22: "uint32", 23: "uint64"}
_CODES = {name: code for code, name in NAMES.items()}
_BFLOAT16 = _CODES["bfloat16"]


def feed(name: str, values: Any, wanted: int = 0) -> Tuple[str, int, np.ndarray]:
    """A feed for the binding. wanted: the graph's type, which numbers that are no array take; 0: not known."""
    if not isinstance(values, np.ndarray):
        try:
            values = np.asarray(values, dtype=NAMES.get(wanted, "float32").lstrip("q").replace("bfloat16", "float32"))
        except (TypeError, ValueError) as e:
            raise usage(f"input {name}", f"is fed {type(values).__name__}: {e}", "feed an array") from None
    dtype = values.dtype.newbyteorder("=") if values.dtype.byteorder not in "=|" else values.dtype
    code = _CODES.get(dtype.name, 0)
    if not code or dtype.name == "string":
        raise usage(f"input {name}", f"is fed {values.dtype}", "feed numbers or bools")
    if wanted == _BFLOAT16 and dtype.name == "float32":
        return name, wanted, _bfloat16(np.ascontiguousarray(values, np.float32)).reshape(values.shape)
    if NAMES.get(wanted, "") == "q" + dtype.name:
        code = wanted  # quantized values of the same width
    shape = values.shape  # ascontiguousarray makes [1] of []
    return name, code, np.ascontiguousarray(values, dtype=dtype).reshape(shape)


def _bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 rounded to the nearest, ties to even, as uint16."""
    bits = values.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype(np.uint16)


def arrays_by_name(tensors: Iterable[Tuple[str, int, np.ndarray]]) -> Dict[str, np.ndarray]:
    """bfloat16 becomes float32, which holds all its values."""
    return {name: (array.astype(np.uint32) << np.uint32(16)).view(np.float32) if code == _BFLOAT16 else array
            for name, code, array in tensors}
