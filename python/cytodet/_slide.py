"""Slides: images of any size, read region by region."""
from __future__ import annotations

import operator
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from cytodet import _binding, _process, _settings
from cytodet._errors import out_of_memory, usage
from cytodet._opened import Opened
from cytodet._settings import PathLike


class Level(NamedTuple):
    """A level of the pyramid: size in its pixels, and level-0 pixels per pixel."""

    width: int
    height: int
    downsample: float


def open_slide(path: PathLike, **options: Any) -> "Slide":
    """Opens an image or slide file by its content. Options and errors: those of Slide."""
    return Slide(path, **options)


class Slide(Opened[_binding.Slide]):
    """An image or slide file of any size. Several threads may read from one at once.

    format: "svs", "tiff", "jpeg", ... width, height: of level 0, pixels. levels: list of Level, the largest first. mpp: micrometres
    per level-0 pixel, across and down; 0: the file does not say. mpp_source: the property that gave them; mpp_warning: why they may
    be wrong. bounds: what was scanned, (x, y, width, height) in level-0 pixels. warnings: texts.

    Options choose among the images of a file that holds several; numbers count from 0: series, page, plane, time; channel (number or
    name, or three with commas); stretch ("none", "auto", a number of bits, "MIN,MAX"). Error: missing, damaged, of no known format.
    """

    _advice = ("the slide", "open it again")

    def __init__(self, path: PathLike, *, series: Optional[int] = None, page: Optional[int] = None, plane: Optional[int] = None,
                 time: Optional[int] = None, channel: Optional[str] = None, stretch: Optional[str] = None) -> None:
        options = _settings.nested({"series": series, "page": page, "plane": plane, "time": time,
                                    "channel": None if channel is None else str(channel), "stretch": stretch})
        text = _settings.path_bytes(path)
        d = self._open(text, _binding.Slide(text, _settings.text_of(options)), options).description()
        self.format: str = d["format"]
        self.levels: List[Level] = [Level(*level) for level in d["levels"]]
        self.width, self.height = self.levels[0].width, self.levels[0].height
        self.mpp: Tuple[float, float] = d["mpp"]
        self.mpp_source: str = d["mpp_source"]
        self.mpp_warning: str = d["mpp_warning"]
        self.bounds: Tuple[int, int, int, int] = d["bounds"]
        self.warnings: List[str] = d["warnings"]

    def __repr__(self) -> str:
        return f"<cytodet.Slide {self.path}: {self.width} x {self.height}, {len(self.levels)} levels>"

    def read(self, level: int, x: int, y: int, w: int, h: int) -> np.ndarray:
        """The pixels [x, x + w) x [y, y + h) of a level, in pixels of that level: uint8 [h, w, 3], RGB; white outside.

        UsageError: no such level, a size that is not positive. Error: stored data that is damaged. OutOfMemoryError: more pixels
        than memory holds.
        """
        (number,), (left, top), (width, height) = _whole({"level": level}, 31), _whole({"x": x, "y": y}, 63), _whole({"w": w, "h": h}, 31)
        return self._pixels(width, height, lambda handle: handle.read(number, left, top, width, height))

    def read_scaled(self, box: Tuple[float, float, float, float], w: int, h: int) -> np.ndarray:
        """The area x0, y0, x1, y1 [level-0 pixels] as uint8 [h, w, 3]: shrinking takes the mean, enlarging is bilinear."""
        try:
            x0, y0, x1, y1 = (float(v) for v in box)
        except (TypeError, ValueError):
            raise usage("box", f"is {box!r}", "give x0, y0, x1, y1 in level-0 pixels") from None
        width, height = _whole({"w": w, "h": h}, 31)
        return self._pixels(width, height, lambda handle: handle.read_scaled(x0, y0, x1, y1, width, height))

    def thumbnail(self, max_side: int = 1024) -> np.ndarray:
        """What was scanned, its longer side max_side pixels: uint8 [height, width, 3]."""
        x, y, width, height = self.bounds
        scale = _whole({"max_side": max_side}, 31)[0] / max(width, height)
        return self.read_scaled((x, y, x + width, y + height), max(1, round(width * scale)), max(1, round(height * scale)))

    def _pixels(self, width: int, height: int, read: Callable[[_binding.Slide], np.ndarray]) -> np.ndarray:
        handle = self._opened()
        try:
            return read(handle)
        except MemoryError:
            raise out_of_memory(self.path, f"{width} x {height} pixels are {3 * width * height / 2**30:.1f} GiB, more than memory holds",
                                "read less at once, or a coarser level") from None


def _whole(values: Dict[str, Any], bits: int) -> List[int]:
    """Whole numbers that the library can hold."""
    numbers = []
    for name, value in values.items():
        try:
            number = operator.index(value)
        except TypeError:
            raise usage(name, f"is {value!r}", "give a whole number") from None
        if not -(1 << bits) <= number < 1 << bits:
            raise usage(name, f"is {number}", f"give a number of {bits + 1} bits")
        numbers.append(number)
    return numbers
