"""Models: networks that detect."""
from __future__ import annotations

import copy
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

import numpy as np

from cytodet import _binding, _pixels, _process, _settings, _tensors
from cytodet._errors import Error, StoppedError, usage
from cytodet._opened import Opened
from cytodet._progress import ProgressLike, reporter
from cytodet._result import Result, Results
from cytodet._settings import PathLike
from cytodet._slide import Slide


class RunSummary(NamedTuple):
    """How a run folder ended: numbers of inputs and detections, and errors of slides and warnings."""

    done: int
    failed: int
    skipped: int
    waiting: int  # not begun or not finished
    detections: int
    messages: List[str]


def load(path: PathLike, **options: Any) -> "Model":
    """Opens a model file (.json), or a graph (.pb, .onnx, a SavedModel, ...) beside which a model file of its name lies.

    Options and errors: those of Model.
    """
    return Model(path, **options)


class Model(Opened[_binding.Model]):
    """A network that is ready to detect. Several threads may use one at once: their calls share its streams.

    streams: networks at work at once; 0: one per usable core. threads: inside one network. precision: "graph", or "bf16" for float
    layers on bfloat16. score: lowest score of a detection; detections: how many an image or tile has at most; nms: "hard" or
    "gaussian"; iou: boxes of a class that overlap more are suppressed; each as in the model file where it is None.

    Error: a file that cannot be read, a graph that is not what the model file says. UsageError: an option outside of its range.
    """

    _advice = ("the model", "load it again")

    def __init__(self, path: PathLike, *, streams: int = 0, threads: int = 1, precision: str = "graph",
                 score: Optional[float] = None, detections: Optional[int] = None, nms: Optional[str] = None,
                 iou: Optional[float] = None) -> None:
        options = _settings.nested({"streams": streams, "threads": threads, "precision": precision, "score": score,
                                    "detections": detections, "nms": nms, "iou": iou})
        settings = {"threads_per_stream" if key == "threads" else key: value for key, value in options.items()}
        text = _settings.path_bytes(path)
        _process.begin_work()
        d = self._open(text, _binding.Model(text, _settings.text_of(settings)), options).description()
        self.name: str = d["name"]
        self.input_size: Tuple[int, int] = (d["input_height"], d["input_width"])  # pixels: height, width
        self.streams: int = d["streams"]
        self.score: float = d["score"]  # all detections have at least this
        self.class_names: Tuple[str, ...] = tuple(d["classes"])
        self.category_ids: Tuple[int, ...] = tuple(d["category_ids"])  # COCO's, by class
        self.operating_scores: Tuple[float, ...] = tuple(d["operating_scores"])  # by class: from it on a detection counts as a cell

    def __repr__(self) -> str:
        height, width = self.input_size
        return f"<cytodet.Model {self.path}: {width} x {height}, {len(self.class_names)} classes>"

    def detect(self, source: Any, *, tile: Optional[int] = None, overlap: Optional[int] = None, mode: Optional[str] = None,
               mpp: Optional[float] = None, level: Optional[int] = None, scale: Optional[float] = None,
               assume_mpp: Optional[float] = None, merge: Optional[str] = None, merge_iou: Optional[float] = None,
               score: Optional[float] = None, roi: Optional[PathLike] = None, background: Optional[str] = None,
               max_bad_tiles: Union[None, int, str] = None, settings: Optional[Mapping[str, Any]] = None, name: Optional[str] = None,
               order: str = "RGB", image_mpp: Union[None, float, Tuple[float, float]] = None,
               progress: ProgressLike = None) -> Any:
        """Finds cells; a Result, and for a list of sources Results.

        source: a path; an open Slide; pixels, uint8 [height, width, 3] or [height, width] (a numpy array or PIL image); or a list
        of paths (also folders, patterns such as "slides/*.svs", lists "@list.txt"), or of pixels.

        mode: "image", the whole image shrunk to the network's input; "slide", tiles; "auto" (default), tiles where the image is
        larger than twice the input, with the model file's input.placement "stretch" or "image" than 2048 pixels too. tile: side of
        a tile [pixels of the working resolution], default 640. overlap: what neighbouring tiles share, default 160, or a quarter of
        `tile`. mpp [micrometres per pixel], level (of the pyramid) or scale (working pixels per level-0 pixel, (0, 1]): the working
        resolution, default level 0. assume_mpp: of slides that do not say.
        merge: "owner" (default), "nms", "soft_nms", "greedy_nmm", "nmm", "wbf", beyond an overlap of merge_iou (0.5).
        score: detections with this score or less are left out. roi: file or folder of regions of interest. background: tiles of
        bare glass to skip are found by "none" (default), "otsu" or "variance". max_bad_tiles: damaged tiles that a slide may have,
        default "5%". settings: more keys of "detect" of a run config (docs/detect.md), which win.
        For pixels: name, for errors and evaluate(); order "BGR" where blue comes first; image_mpp, micrometres per pixel.
        progress: a function of one cytodet.Progress, a bar or class of bars (tqdm.tqdm), True for tqdm's.

        Error: one source that cannot be read; in a list its Result has the error instead. An exception that stops the call
        (KeyboardInterrupt within the time of one tile, what `progress` raises) carries what is finished as `.results`.
        """
        options = _settings.nested({
            "mode": mode, "tiling.tile_px": tile,
            "tiling.overlap_px": overlap if overlap is not None or not isinstance(tile, int) else tile // 4,
            "tiling.mpp": mpp, "tiling.level": level, "tiling.scale": scale, "tiling.assume_mpp": assume_mpp,
            "merge.method": merge, "merge.iou": merge_iou, "score": score,
            "roi": None if roi is None else os.fsdecode(_settings.path_bytes(roi, "roi")), "background": background,
            "max_bad_tiles": None if max_bad_tiles is None else str(max_bad_tiles)})
        many = isinstance(source, (list, tuple))
        sources = list(source) if many else [source]
        if not sources:
            raise usage("source", "is an empty list", "give what to detect on")
        if all(isinstance(s, Slide) for s in sources):
            sources, options = self._files_of_slides(sources, options)
        options = _settings.laid_over(options, settings)
        if all(_pixels.is_array(s) for s in sources):
            results = self._on_pixels(sources, options, many, name, order, image_mpp, progress)
        elif all(isinstance(s, (str, bytes, os.PathLike)) for s in sources):
            results = self._on_files(sources, options, progress)
        else:
            kinds = sorted({type(s).__name__ for s in sources})
            raise usage("source", "is " + ", ".join(kinds), "give a path, a Slide, pixels, or a list of one kind of them")
        return results if many else _only(results, sources[0])

    def run(self, inputs: Union[PathLike, Sequence[PathLike]], folder: PathLike, *, resume: bool = False, overwrite: bool = False,
            shard: Optional[str] = None, overlay: bool = False, truth: Optional[PathLike] = None,
            detect: Optional[Mapping[str, Any]] = None, settings: Optional[Mapping[str, Any]] = None,
            progress: ProgressLike = None) -> RunSummary:
        """Detects on many slides into a run folder, as `cytodet detect -o FOLDER` does. What is finished stays, whatever ends the
        call: resume=True goes on with the rest.

        inputs: paths, folders, patterns, lists. shard: "2/8", only a part of the list. overlay: also images with boxes. truth: COCO
        ground truth that gives the image ids. detect: keys of "detect" of a run config, settings: its other keys
        (docs/detect.md). Error: nothing to do, a folder that another process writes, a file that is not the run's.
        """
        if isinstance(inputs, (str, bytes, os.PathLike)):
            inputs = [inputs]
        options = _settings.nested({"resume": resume, "overwrite": overwrite, "shard": shard, "overlay": overlay,
                                    "truth": None if truth is None else os.fsdecode(_settings.path_bytes(truth, "truth")),
                                    "detect": dict(detect) if detect else None})
        text = _settings.text_of(_settings.laid_over(options, settings))
        tell, close = reporter(progress)
        try:
            summary, stopped_by = self._opened().run([_settings.path_bytes(i, "inputs") for i in inputs],
                                                     _settings.path_bytes(folder, "folder"), text, tell)
        finally:
            close()
        if stopped_by is not None:
            stopped_by.summary = summary and RunSummary(**summary)
            raise stopped_by
        return RunSummary(**summary)

    def network(self, image: Any, *, order: str = "RGB") -> Dict[str, np.ndarray]:
        """What the network gives before boxes are made of it: its outputs by name, each [1, ...].

        image: pixels as of detect(), which are resized, placed and normalised as the model file's "input" says; or an input that
        is made already, float32 [1, height, width, 3].
        """
        if not _pixels.is_array(image):
            raise usage("image", f"is {type(image).__name__}", "give pixels or an input of the network")
        array = np.asarray(image)
        if array.ndim == 4:
            outputs = self._opened().network_of_tensor(_tensors.feed("", array))
        else:
            outputs = self._opened().network_of_pixels(_pixels.pixels(array, "image", order))
        return _tensors.arrays_by_name(outputs)

    @staticmethod
    def _files_of_slides(slides: List[Slide], options: Dict[str, Any]) -> Tuple[List[Any], Dict[str, Any]]:
        chosen = slides[0]._options
        for s in slides:
            s._opened()
            if s._options != chosen:
                raise usage("source", "holds slides that were opened with different options", "detect on each alone")
        return [s.path for s in slides], _settings.laid_over(options, {"selection": chosen} if chosen else None)

    def _on_pixels(self, sources: List[Any], options: Dict[str, Any], many: bool, name: Optional[str], order: str, mpp: Any,
                   progress: ProgressLike) -> Results:
        if many and name is not None:
            raise usage("name", "is given for a list", "detect on each alone, or leave it out")
        images = [_pixels.pixels(s, name if name is not None else _pixels.name_of(s, i if many else None), order, mpp)
                  for i, s in enumerate(sources)]
        return self._finished(self._opened().detect_images, images, options, progress)

    def _on_files(self, sources: List[Any], options: Dict[str, Any], progress: ProgressLike) -> Results:
        paths = [_settings.path_bytes(s, "source") for s in sources]
        keys = [os.path.abspath(p) for p in paths]
        once = dict(zip(reversed(keys), reversed(paths)))  # the first of equal ones: the library takes a file once
        firsts = [once[k] for k in dict.fromkeys(keys)]
        results = self._finished(self._opened().detect_files, firsts, options, progress)
        if len(firsts) == len(paths) or [os.fsencode(r.name) for r in results] != firsts:
            return results
        place = {k: i for i, k in enumerate(dict.fromkeys(keys))}
        given: Set[bytes] = set()
        return Results((_first_or_copy(results[place[k]], k, given) for k in keys), results.stopped)

    def _finished(self, call: Any, inputs: List[Any], options: Dict[str, Any], progress: ProgressLike) -> Results:
        tell, close = reporter(progress)
        try:
            raw, stopped_by = call(inputs, _settings.text_of(options), tell)
        finally:
            close()
        results = Results((Result._of(r, self.class_names, self.category_ids, self.operating_scores) for r in raw), stopped_by is not None)
        if stopped_by is not None:
            stopped_by.results = results
            raise stopped_by
        return results


def _first_or_copy(result: Result, key: bytes, given: Set[bytes]) -> Result:
    """The result of a file, and copies of it where the file is named again, so that a list gives a list as long."""
    if key in given:
        result = copy.copy(result)
        result.boxes, result.scores, result.classes = result.boxes.copy(), result.scores.copy(), result.classes.copy()
    given.add(key)
    return result


def _only(results: Results, source: Any) -> Result:
    """The result of the one source, which must not have failed."""
    if len(results) != 1:
        if not results:
            raise StoppedError("the call was stopped", "the call", "was stopped")
        raise usage(str(source), "is no single file", "give a list: detect([...])")
    if results[0].error is not None:
        error: Error = results[0].error
        raise error
    return results[0]
