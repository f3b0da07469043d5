"""Graphs from float to INT8, and how fast they are."""
from __future__ import annotations

import json
import os
import subprocess
import tempfile
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Union

from cytodet import _binding, _pixels, _process, _settings, program
from cytodet._errors import Error, usage
from cytodet._model import Model
from cytodet._progress import ProgressLike, reporter
from cytodet._settings import PathLike


class OptimizeReport(NamedTuple):
    nodes_before: int
    nodes_after: int
    messages: List[str]  # warnings


class CalibrateReport(NamedTuple):
    ranges: int  # values whose range is known
    images: int  # that were used
    messages: List[str]  # images that could not be read


class QuantizeReport(NamedTuple):
    layers: int  # convolutions, matrix products and the layers beside them
    int8_layers: int
    messages: List[str]


ModelLike = Union[Model, PathLike]


def _model_path(model: ModelLike) -> bytes:
    return _settings.path_bytes(model.path if isinstance(model, Model) else model, "model")


def optimize(graph: PathLike, out: PathLike, *, inputs: Union[None, str, Sequence[str]] = None,
             outputs: Union[None, str, Sequence[str]] = None, passes: Optional[Sequence[str]] = None, without: Sequence[str] = (),
             check: bool = True) -> OptimizeReport:
    """Rewrites a graph into the file `out`: strips it, folds constants and batch norms; the answers stay.

    inputs: nodes that are fed, default: its placeholders. outputs: nodes that are fetched, default: those that nobody reads.
    passes: those that are run, default: all; without: those that are not. check: the answers are compared with the source's before
    the file is written. Error: a file that cannot be read or written, unknown nodes or passes, answers that differ.
    """
    _process.begin_work()
    settings: Dict[str, Any] = {"without": list(without), "check": check}
    for key, value in (("inputs", inputs), ("outputs", outputs), ("passes", passes)):
        if value is not None:
            settings[key] = _settings.names(value)  # type: ignore[arg-type]
    d = _binding.optimize(_settings.path_bytes(graph, "graph"), _settings.path_bytes(out, "out"), _settings.text_of(settings))
    return OptimizeReport(d["nodes_before"], d["nodes_after"], d["messages"])


def calibrate(model: ModelLike, images: Union[PathLike, Iterable[Any]], out: PathLike, *, method: Optional[str] = None,
              percentile: Optional[float] = None, per_channel: bool = True, max_images: int = 100, streams: int = 0,
              progress: ProgressLike = None) -> CalibrateReport:
    """Runs images through the network and writes the ranges of its values to `out` (.json).

    images: a folder (for a graph without a model file: of feeds); or arrays, uint8 [height, width, 3], of which the first
    max_images are taken. method: "minmax" (default), "percentile", "entropy", "mse". percentile: 50 to 100, default 99.9999.
    per_channel: also the ranges of single channels. streams: networks at work at once; 0: one per usable core.
    Error: a model or folder that cannot be read, no image that can be. When it is stopped nothing is written.
    """
    _process.begin_work()
    settings = _settings.nested({"method": method, "percentile": percentile, "per_channel": per_channel, "streams": streams})
    source, target = _model_path(model), _settings.path_bytes(out, "out")
    tell, close = reporter(progress)
    try:
        if isinstance(images, (str, bytes, os.PathLike)):
            text = _settings.text_of(dict(settings, max_images=max_images))
            d = _binding.calibrate_folder(source, _settings.path_bytes(images, "images"), target, text, tell)
        else:
            d = _binding.calibrate_images(source, _taken(images, max_images), target, _settings.text_of(settings), tell)
    finally:
        close()
    return CalibrateReport(d["ranges"], d["images"], d["messages"])


def _taken(images: Iterable[Any], most: int) -> List[_pixels.Pixels]:
    if _pixels.is_array(images):
        raise usage("images", "is one array", "give a list of arrays")
    taken: List[_pixels.Pixels] = []
    for image in images:
        if len(taken) >= most:
            break
        taken.append(_pixels.pixels(image, _pixels.name_of(image, len(taken))))
    if not taken:
        raise usage("images", "is empty", "give a folder or arrays")
    return taken


def quantize(model: ModelLike, out: PathLike, *, images: Union[None, PathLike, Iterable[Any]] = None,
             ranges: Optional[PathLike] = None, max_images: int = 100, method: Optional[str] = None, exclude_ops: Sequence[str] = (),
             exclude_nodes: Sequence[str] = (), check: bool = True, settings: Optional[Mapping[str, Any]] = None,
             progress: ProgressLike = None) -> QuantizeReport:
    """Writes the network with INT8 layers to `out` (.pb), and for a model its model file beside it.

    images: what to calibrate on, as of calibrate(), by whose max_images and method; or ranges: the file that calibrate() wrote.
    method: also "auto", the default: "minmax", or, for a folder, "mse" where held-back images gain by it. progress tells of the
    calibration. exclude_ops, exclude_nodes: what stays in float. check: the file is run beside the network before it is written.
    settings: more keys of "quantize" of a run config (docs/quantize.md), which win. Error: neither images nor ranges, ranges of another graph, no layer that can be INT8.
    A signal ends the calibration soon, and the rest when it is done.
    """
    _process.begin_work()
    options = _settings.nested({"max_images": max_images, "method": method, "exclude_ops": list(exclude_ops),
                                "exclude_nodes": list(exclude_nodes), "check": check,
                                "ranges": None if ranges is None else os.fsdecode(_settings.path_bytes(ranges, "ranges"))})
    arrays = images is not None and not isinstance(images, (str, bytes, os.PathLike))
    if images is not None and not arrays:
        options["images"] = os.fsdecode(_settings.path_bytes(images, "images"))  # type: ignore[arg-type]
    options = _settings.laid_over(options, settings)
    with tempfile.TemporaryDirectory() as folder:
        if arrays:
            if options.get("ranges"):
                raise usage("ranges", "are given beside images", "give one of them")
            options["ranges"] = os.path.join(folder, "ranges.json")
            by = options.get("method")
            calibrate(model, images, options["ranges"], method=None if by == "auto" else by,  # type: ignore[arg-type]
                      percentile=options.get("percentile"), max_images=options["max_images"], progress=progress)
        tell, close = reporter(None if arrays else progress)
        try:
            d = _binding.quantize(_model_path(model), _settings.path_bytes(out, "out"), _settings.text_of(options), tell)
        finally:
            close()
    return QuantizeReport(d["layers"], d["int8_layers"], d["messages"])


def bench(model: ModelLike, *, seconds: float = 3.0, hint: Optional[str] = None, streams: Optional[int] = None,
          threads: Optional[int] = None, precision: Optional[str] = None, layers: bool = False, rounds: Optional[int] = None,
          scaling: bool = False, pin: bool = True, shapes: Optional[Mapping[str, Sequence[int]]] = None) -> Dict[str, Any]:
    """How fast the network alone is: what `cytodet bench --json` prints, in a process of its own.

    Keys: ms_per_image, images_per_s, latency_median_ms, latency_p95_ms, gmacs_per_s, share_of_peak, ... (docs/bench.md); with
    `layers` every step's time and work, with `scaling` a table of streams and threads. hint: "throughput" (default) or "latency",
    which chooses streams and threads that are not given. shapes: {"NAME": (1, 224, 224, 3)} of a bare graph's inputs.
    Error: as the program.
    """
    words = ["bench", "--model", os.fsdecode(_model_path(model)), "--json", "--seconds", str(seconds)]
    for flag, value in (("--hint", hint), ("--streams", streams), ("--threads", threads), ("--precision", precision),
                        ("--rounds", rounds)):
        if value is not None:
            words += [flag, str(value)]
    for name, shape in (shapes or {}).items():
        words += ["--shape", f"{name}=" + ",".join(str(int(s)) for s in shape)]
    words += [flag for flag, wanted in (("--layers", layers), ("--scaling", scaling), ("--no-pin", not pin)) if wanted]
    try:
        ran = subprocess.run([program.find(), *words], capture_output=True)
    except ValueError as e:
        raise Error(str(e)) from None
    if ran.returncode != 0:
        text = ran.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        text = text[len("cytodet: error: "):] if text.startswith("cytodet: error: ") else text
        raise (usage("bench", text) if ran.returncode == 2 else Error(text))
    speed: Dict[str, Any] = json.loads(ran.stdout)
    return speed
