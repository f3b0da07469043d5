"""GraphConverter: a float graph to INT8, by the interface of the converter in Intel's quantization tools.

    import cytodet.graph_converter as converter
    resnet = converter.GraphConverter("fp32.pb", "int8.pb", ["input"], ["predict"])
    resnet.gen_calib_data_cmds = "python infer.py --in-graph {}"
    resnet.convert()
"""
import os
import warnings
from typing import Any, Iterable, List, Optional, Union

from cytodet import program

_OPTIMIZED = "fp32_optimized_graph.pb"
_DEFAULT_OUTPUT = "int8_final_fused_graph.pb"
_PathLike = Union[str, "os.PathLike[str]"]
_Names = Union[str, Iterable[str], None]
_ALGORITHMS = ("DIRECT", "KL", "MA")


def _names(value: _Names) -> List[str]:
    """A list of names, also where one text holds several between commas; without blanks and empty ones."""
    if isinstance(value, str):
        value = value.split(",")
    return [name.strip() for name in value or [] if name.strip()]


class GraphConverter:
    """Optimizes and quantizes a frozen graph of TensorFlow.

    input_graph: path of the float graph. output_graph: path of the INT8 graph; None: int8_final_fused_graph.pb beside the input.
    inputs, outputs: names of nodes; none: all placeholders, and the nodes that nobody reads. excluded_ops, excluded_nodes stay in
    float. per_channel: a scale per output channel of a filter. input_graph_is_binary: kept for the callers, the form is known by
    content. algo: "DIRECT"; "KL" and "MA" are taken with a warning, and ranges are those of "DIRECT".

    ValueError: the graph does not exist, the output's folder does not exist, no command was given, the program is not found.
    RuntimeError: the program failed, with its message; also where a file of a name that this class chose (the optimized graph, the
    stages, the default output) stands there and was not written by the program, unless `overwrite` is set.
    """

    def __init__(self, input_graph: _PathLike, output_graph: Optional[_PathLike], inputs: _Names = (), outputs: _Names = (),
                 excluded_ops: _Names = (), excluded_nodes: _Names = (), per_channel: bool = False,
                 input_graph_is_binary: bool = True, algo: str = "DIRECT") -> None:
        self.input_graph = os.fspath(input_graph)
        if not os.path.exists(self.input_graph):
            raise ValueError(f"Input graph pb file {self.input_graph} does not exist.")
        if algo not in _ALGORITHMS:
            raise ValueError(f"algo must be one of {', '.join(_ALGORITHMS)}, not {algo}.")
        if algo != "DIRECT":
            warnings.warn(f"algo {algo}: ranges are percentiles of the logged extremes, as of DIRECT", stacklevel=2)
        if output_graph is None:
            output_graph = os.path.join(os.path.dirname(os.path.abspath(self.input_graph)), _DEFAULT_OUTPUT)
            self._own_name: List[str] = ["--own-name"]
        else:
            self._own_name = []
        self.output_graph = os.fspath(output_graph)
        self._folder = os.path.dirname(os.path.abspath(self.output_graph))
        if not os.path.isdir(self._folder):
            raise ValueError('"output_graph" directory does not exist.')
        self.inputs, self.outputs = _names(inputs), _names(outputs)
        self.excluded_ops, self.excluded_nodes = _names(excluded_ops), _names(excluded_nodes)
        self.per_channel = bool(per_channel)
        self.input_graph_is_binary = input_graph_is_binary
        self.algo = algo
        self.callback_timeout = 3600  # seconds after which the command is ended; 0: never
        self.overwrite = False  # True: files of the names that this class chooses are replaced, whoever made them
        self._command: Optional[str] = None
        self._debug = False

    @property
    def gen_calib_data_cmds(self) -> Optional[str]:
        """The command that runs the graph on calibration data, with {} where the graph's path goes."""
        return self._command

    @gen_calib_data_cmds.setter
    def gen_calib_data_cmds(self, command: Optional[str]) -> None:
        self._command = command

    @property
    def debug(self) -> bool:
        """Whether the graph of every stage is kept beside the output."""
        return self._debug

    @debug.setter
    def debug(self, value: Any) -> None:
        self._debug = bool(value)

    def convert(self) -> None:
        """Optimizes the graph (fp32_optimized_graph.pb beside the output), then quantizes it."""
        self._check_command()
        optimized = os.path.join(self._folder, _OPTIMIZED)
        program.run("optimize", self.input_graph, "-o", optimized, "--own-name", *self._overwrite(), *self._ends())
        self._quantize(optimized)

    covert = convert  # as one tutorial spells it

    def quantize(self) -> None:
        """Quantizes the graph, which is optimized already."""
        self._check_command()
        self._quantize(self.input_graph)

    def _overwrite(self) -> List[str]:
        return ["--overwrite"] if self.overwrite else []

    def _check_command(self) -> None:
        if not self._command:
            raise ValueError("No command was given that runs the graph: set gen_calib_data_cmds, with {} in place of the graph.")

    def _ends(self) -> List[str]:
        return ([f"--inputs={','.join(self.inputs)}"] if self.inputs else []) + (
            [f"--outputs={','.join(self.outputs)}"] if self.outputs else [])

    def _quantize(self, graph: str) -> None:
        words: List[Any] = ["quantize", graph, "-o", self.output_graph, "--callback", self._command, "--callback-timeout",
                 self.callback_timeout, f"--per_channel={'true' if self.per_channel else 'false'}", *self._ends()]
        if self.excluded_ops:
            words.append(f"--excluded_ops={','.join(self.excluded_ops)}")
        if self.excluded_nodes:
            words.append(f"--excluded_nodes={','.join(self.excluded_nodes)}")
        if self._debug:
            words += ["--dump-dir", self._folder]
        program.run(*words, *self._own_name, *self._overwrite())
        print(f"Converted graph file is saved to: {self.output_graph}", flush=True)
