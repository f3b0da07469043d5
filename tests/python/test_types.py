"""The package's types hold under mypy --strict."""
import os
import subprocess
import sys

import pytest

from conftest import SOURCE


def test_types_are_strict(tmp_path):
    pytest.importorskip("mypy")
    ran = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "cytodet"], cwd=SOURCE / "python",
                         env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
