"""Images in memory as the library takes them."""
from __future__ import annotations

from typing import Any, Optional, Tuple, Union

import numpy as np

from cytodet._errors import usage

Pixels = Tuple[Any, str, bool, float, float]  # array, name, whether blue comes first, micrometres per pixel across and down


def is_array(source: Any) -> bool:
    """Whether it holds pixels: a numpy array, a PIL image, ..."""
    return hasattr(source, "__array__") or hasattr(source, "__array_interface__")


def pixels(source: Any, name: str, order: str = "RGB", mpp: Union[None, float, Tuple[float, float]] = None) -> Pixels:
    """An image for the binding; it is copied only where its rows are not laid out as they must be. UsageError: no pixels."""
    array = np.asarray(source)
    expected = "give uint8 of shape (height, width, 3), red first, or (height, width) for gray"
    if array.dtype != np.uint8:
        raise usage(name, f"is {array.dtype}", expected)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or 0 in array.shape:
        raise usage(name, f"has the shape {tuple(array.shape)}", expected)
    if order not in ("RGB", "BGR"):
        raise usage("order", f"is {order!r}", 'give "RGB" or "BGR"')
    inner = (1,) if array.ndim == 2 else (3, 1)
    if array.strides[1:] != inner or array.strides[0] < array.shape[1] * inner[0]:
        array = np.ascontiguousarray(array)
    return (array, name, order == "BGR", *_mpp(mpp))


def _mpp(mpp: Union[None, float, Tuple[float, float]]) -> Tuple[float, float]:
    if mpp is None:
        return 0.0, 0.0
    try:
        x, y = mpp if isinstance(mpp, (tuple, list)) else (mpp, mpp)
        return float(x), float(y)
    except (TypeError, ValueError):
        raise usage("image_mpp", f"is {mpp!r}", "give micrometres per pixel, or a pair of them: across, down") from None


def name_of(source: Any, index: Optional[int] = None) -> str:
    """What an image without a name is called in errors and results."""
    return "image" if index is None else f"image {index}"
