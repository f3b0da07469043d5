"""Graphs: what is in them, and running them on any inputs."""
from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from cytodet import _binding, _process, _settings, _tensors
from cytodet._errors import usage
from cytodet._opened import Opened
from cytodet._settings import PathLike


class TensorInfo(NamedTuple):
    """An input or output: dtype is TensorFlow's name ("float32", "quint8", ...; "" where not known); shape has None for sizes that
    the graph leaves open, and is None where not even their number is known."""

    name: str
    dtype: str
    shape: Optional[Tuple[Optional[int], ...]]


class Graph(Opened[_binding.Graph]):
    """A graph of any format that is read (.pb, .pbtxt, SavedModel, checkpoint, .onnx, .tflite). Several threads may run one at once.

    inputs, outputs: lists of TensorInfo; outputs are the nodes that nobody reads. nodes: list of {"name", "op", "inputs", "outputs",
    "macs"}. ops: how often each op occurs. parameters: number of constants' values. macs: multiply-accumulates where sizes are
    known. description: all that `cytodet inspect --json` prints.

    threads: inside the network. precision: "graph" or "bf16". plain: the plain interpreter instead of the kernels. sizes:
    {"NAME": (1, 224, 224, 3)} of inputs that the file leaves open. set: {"NAME": VALUE}, placeholders that are constants.
    Error: a file that cannot be read.
    """

    _advice = ("the graph", "open it again")

    def __init__(self, path: PathLike, *, threads: int = 1, precision: str = "graph", plain: bool = False,
                 sizes: Optional[Mapping[str, Sequence[int]]] = None, set: Optional[Mapping[str, Any]] = None) -> None:
        options: Dict[str, Any] = {"threads": threads, "precision": precision, "plain": plain,
                                   "sizes": {k: list(v) for k, v in (sizes or {}).items()}, "set": dict(set or {})}
        settings = dict(options, set=[f"{k}={json.dumps(v, default=_settings.plain)}" for k, v in (set or {}).items()])
        text = _settings.path_bytes(path)
        _process.begin_work()
        handle = self._open(text, _binding.Graph(text, _settings.text_of(settings)), options)
        inputs = handle.inputs()
        self._dtypes: Dict[str, int] = {name: dtype for name, dtype, _ in inputs}
        self.inputs: List[TensorInfo] = [_info(*i) for i in inputs]
        self.outputs: List[TensorInfo] = [_info(*o) for o in handle.outputs()]
        self._description: Optional[Dict[str, Any]] = None

    def __repr__(self) -> str:
        return f"<cytodet.Graph {self.path}: {len(self.inputs)} inputs, {len(self.outputs)} outputs>"

    @property
    def description(self) -> Dict[str, Any]:
        """What `cytodet inspect --json` prints."""
        if self._description is None:
            self._description = json.loads(self._opened().description())
        return self._description

    @property
    def nodes(self) -> List[Dict[str, Any]]:
        """Inputs first: {"name", "op", "inputs", "outputs" (type and shape), "macs"}."""
        nodes: List[Dict[str, Any]] = self.description["nodes"]
        return nodes

    @property
    def ops(self) -> Dict[str, int]:
        """How often each op occurs, most frequent first."""
        return dict(self.description.get("ops", {}))

    @property
    def parameters(self) -> int:
        """Number of values of constants and variables."""
        return int(self.description["const_parameters"]) + int(self.description["variable_parameters"])

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a run, of the layers whose sizes are known."""
        return int(self.description["macs"])

    def run(self, feeds: Any, outputs: Union[None, str, Sequence[str]] = None) -> Dict[str, np.ndarray]:
        """Runs the graph on feeds {"NAME": array}, or on one array where it has one input; the outputs by name.

        outputs: names "node" or "node:slot"; default: those of the graph. The graph is compiled when feeds of new shapes or other
        outputs come. UsageError, Error: a feed that is missing, of another type or shape than the graph's; an unknown node.
        """
        if not isinstance(feeds, Mapping):
            if len(self.inputs) != 1:
                raise usage("feeds", f"is {type(feeds).__name__}, and the graph has {len(self.inputs)} inputs",
                            "give a dict: " + ", ".join(i.name for i in self.inputs))
            feeds = {self.inputs[0].name: feeds}
        given = [_tensors.feed(name, values, self._dtypes.get(name[:-2] if name.endswith(":0") else name, 0)) for name, values in feeds.items()]
        return _tensors.arrays_by_name(self._opened().run(given, _settings.names(outputs)))  # type: ignore[arg-type]


def _info(name: str, dtype: int, shape: Optional[List[int]]) -> TensorInfo:
    return TensorInfo(name, _tensors.NAMES.get(dtype, ""), None if shape is None else tuple(None if s < 0 else s for s in shape))
