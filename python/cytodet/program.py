"""Finds and runs the program."""
import os
import shutil
import subprocess
import sys
from typing import Any


_BESIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "cytodet")


def find() -> str:
    """The program: the environment variable CYTODET, that of this package, or cytodet in PATH. ValueError where none is one."""
    named = os.environ.get("CYTODET")
    found = named if named and os.access(named, os.X_OK) else None if named else _BESIDE
    if not named and not os.access(_BESIDE, os.X_OK):
        found = shutil.which("cytodet")
    if not found:
        raise ValueError(f"CYTODET names no program: {named}" if named else "cytodet is not in PATH; set CYTODET to the program")
    return found


def run(*words: Any, printed: bool = True) -> None:
    """Runs the program with these words; RuntimeError with its last line of error where it fails. Its output goes on to ours, what
    it prints only where `printed`."""
    command = [find(), *map(str, words)]
    process = subprocess.Popen(command, stdout=None if printed else subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               errors="replace")
    error = ""
    for line in process.stderr or ():
        if line.startswith("cytodet: error: "):
            error = line[len("cytodet: error: "):].strip()
        else:
            print(line, end="", file=sys.stderr)
    if process.wait() != 0:
        raise RuntimeError(error or f"{' '.join(command[:2])} failed with exit code {process.returncode}")
