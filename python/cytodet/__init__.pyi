from cytodet._errors import Error as Error, OutOfMemoryError as OutOfMemoryError, StoppedError as StoppedError, UsageError as UsageError
from cytodet._evaluate import ClassScores as ClassScores, GroundTruth as GroundTruth, Scores as Scores, evaluate as evaluate
from cytodet._graph import Graph as Graph, TensorInfo as TensorInfo
from cytodet._model import Model as Model, RunSummary as RunSummary, load as load
from cytodet._progress import Progress as Progress
from cytodet._result import Result as Result, Results as Results
from cytodet._slide import Level as Level, Slide as Slide, open_slide as open_slide
from cytodet._tools import (
    CalibrateReport as CalibrateReport,
    OptimizeReport as OptimizeReport,
    QuantizeReport as QuantizeReport,
    bench as bench,
    calibrate as calibrate,
    optimize as optimize,
    quantize as quantize,
)
from cytodet.graph_converter import GraphConverter as GraphConverter

__version__: str
