"""Progress of a long call: a function that is told, or a bar such as tqdm's."""
from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional, Tuple

from cytodet._errors import usage


class Progress(NamedTuple):
    """How far a call is."""

    input: int  # index of the input at work
    inputs_done: int
    inputs: int  # 0: not known
    tiles_done: int  # of the input at work
    tiles: int  # of the input at work, those that are run; 0: the call counts inputs only


ProgressLike = Any  # None; True; a function of one Progress; a bar or a class of bars, as tqdm.tqdm
Tell = Callable[[int, int, int, int, int], None]


class _Bar:
    """Shows tiles of one input after the other, or inputs where nothing is cut into tiles."""

    def __init__(self, make: Callable[..., Any], bar: Optional[Any] = None) -> None:
        self._make, self._bar, self._own = make, bar, bar is None
        self._input = -1

    def tell(self, input: int, inputs_done: int, inputs: int, tiles_done: int, tiles: int) -> None:
        total, done = (tiles, tiles_done) if tiles else (inputs, inputs_done)
        if self._bar is None:
            self._bar = self._make(total=total, unit="tile" if tiles else "image")
        if tiles and input != self._input:
            self._input = input
            if hasattr(self._bar, "reset"):
                self._bar.reset(total=total)
            if inputs > 1 and hasattr(self._bar, "set_description"):
                self._bar.set_description(f"{input + 1}/{inputs}")
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._own and self._bar is not None:
            self._bar.close()


def reporter(progress: ProgressLike) -> Tuple[Optional[Tell], Callable[[], None]]:
    """What the binding calls with five numbers, and what is called at the end."""
    if progress is None or progress is False:
        return None, lambda: None
    if progress is True:
        try:
            from tqdm.auto import tqdm as progress
        except ImportError:
            raise usage("progress", "is True, and tqdm is not installed", "install it, or give a function") from None
    if hasattr(progress, "update") and not isinstance(progress, type):
        bar = _Bar(progress.__class__, progress)
        return bar.tell, bar.close
    if isinstance(progress, type) and hasattr(progress, "update"):
        bar = _Bar(progress)
        return bar.tell, bar.close
    if callable(progress):
        return lambda *numbers: progress(Progress(*numbers)), lambda: None
    raise usage("progress", f"is {type(progress).__name__}", "give a function of one Progress, True, or a bar such as tqdm.tqdm")
