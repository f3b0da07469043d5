"""The version of the library, which is that of the package."""
from cytodet import _binding

__version__: str = _binding.version()
