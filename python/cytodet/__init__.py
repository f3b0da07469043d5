"""cytodet from Python: the program does the work, files go in and come out."""
from cytodet.graph_converter import GraphConverter

__all__ = ["GraphConverter"]
