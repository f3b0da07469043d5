"""Many slides on a Dask cluster: a slide is a task, and the joined run is byte for byte that of one machine.

    from dask.distributed import Client
    from cytodet import distributed
    client = Client("scheduler:8786")
    distributed.run(client, ["slides/*.svs"], "out/run", model="model.json")

Workers need the program (cytodet in PATH, or the environment variable CYTODET) and see the slides and the run folder under the same
paths. Only the standard library and the client that is passed in are used.
"""
from __future__ import annotations

import asyncio
import ctypes
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import uuid
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from cytodet import program as _program
from cytodet._errors import Error, usage

PathLike = Union[str, "os.PathLike[str]"]

_PR_SET_PDEATHSIG = 1
_prctl = getattr(ctypes.CDLL(None), "prctl", None)
_POLL, _PATIENCE = 5.0, 60.0  # seconds: between looks at the workers; without any of them


class Summary(NamedTuple):
    """How a distributed run ended."""

    folder: str  # the joined run folder
    slides: int  # in the list
    missing: List[str]  # slides that no worker finished, with allow_missing
    attempts: int  # tasks that were started now; more than slides where workers died


def run(client: Any, inputs: Union[PathLike, Sequence[PathLike]], folder: PathLike, *, model: PathLike, options: Sequence[str] = (),
        retries: int = 3, allow_missing: bool = False, keep_parts: bool = False) -> Summary:
    """Detects on slides with the workers of a Dask client and joins their results in `folder`.

    client: dask.distributed.Client, or what has its `submit`. inputs: files, folders, patterns, lists ("@list.txt"), as of `cytodet
    detect`. options: more words of `cytodet detect` ("--background", "otsu"); results are those of one run with them. A task takes
    all cores of its machine unless the options say `--streams`: give workers one thread each.

    Each attempt at a slide has a folder of its own inside of FOLDER.parts, so no two workers ever write one file, and one attempt
    per slide is joined, so none is in the result twice. A slide whose worker dies is given to another one, `retries` times. Slides
    that were finished are not done again when the same call is made after the caller died; what is in FOLDER.parts is removed when
    all is joined, unless keep_parts. A slide that cannot be read fails in the result, as in one run, and no task is repeated for it.

    Error: slides that no worker finished (allow_missing goes on without them), no worker left for a minute, or a program that fails
    otherwise.
    """
    listed = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    for option in options:
        if str(option).split("=")[0] in ("-o", "--out", "--shard", "--resume", "--overwrite", "--model"):
            raise usage("options", f"has {option}, which run() gives itself")
    paths = [_absolute(os.fspath(p)) for p in listed]
    command = ["detect", "--model", _absolute(os.fspath(model)), *paths, *map(str, options), "--quiet"]
    slides = _slides(paths)
    target = pathlib.Path(folder).absolute()
    parts = target.with_name(target.name + ".parts") / _key(command, slides)
    parts.mkdir(parents=True, exist_ok=True)
    finished, attempts = _all_parts(client, command, parts, len(slides), retries)
    missing = [slides[i] for i in range(len(slides)) if i not in finished]
    if missing and not allow_missing:
        raise Error(f"{missing[0]}: no worker finished it" + (f", nor {len(missing) - 1} more" if len(missing) > 1 else "") +
                    "; make the same call again to go on, or go on without them by allow_missing")
    if not finished:
        raise Error("no slide is finished")
    _join([finished[i] for i in sorted(finished)], target, bool(missing))
    if not keep_parts and not missing:
        shutil.rmtree(parts)
        try:
            parts.parent.rmdir()
        except OSError:
            pass  # parts of another call
    return Summary(str(target), len(slides), missing, attempts)


def _absolute(path: str) -> str:
    """The path, also of a list, for workers in other folders."""
    return "@" + os.path.abspath(path[1:]) if path.startswith("@") else os.path.abspath(path)


def _slides(paths: Sequence[str]) -> List[str]:
    """The slides in the order of the program's list."""
    done = subprocess.run([_program.find(), "detect", "--list", *paths], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise Error(done.stderr.decode(errors="replace").strip().replace("cytodet: error: ", ""))
    return [os.fsdecode(line) for line in done.stdout.split(b"\n") if line]


def _key(command: Sequence[str], slides: Sequence[str]) -> str:
    """Parts of another list, model or options are of no use here. Times of files are compared with nothing but themselves."""
    words = [word[1:] if word.startswith("@") else word for word in command]  # regions and lists are files too
    files = [p for p in [*_files_of_model(command[2]), *words, *slides] if os.path.isfile(p)]
    stamps = [(p, os.stat(p).st_size, os.stat(p).st_mtime_ns) for p in files]
    return hashlib.sha256(json.dumps([list(command), list(slides), stamps]).encode()).hexdigest()[:16]


def _files_of_model(model: str) -> List[str]:
    """The graph of a model file, also a folder's files, and the model file beside a graph."""
    path = pathlib.Path(model)
    if path.suffix != ".json":
        return [str(path.with_suffix(".json"))]
    try:
        graph = path.parent / str(json.loads(path.read_bytes())["graph"])
    except (OSError, ValueError, KeyError, TypeError):
        return []  # the program says what is wrong
    return [str(p) for p in ([graph] if graph.is_file() else sorted(graph.rglob("*")))]


def _state(folder: pathlib.Path) -> Optional[Dict[str, Any]]:
    try:
        state: Dict[str, Any] = json.loads((folder / "run.json").read_bytes())
        return state
    except (OSError, ValueError):
        return None


def _is_finished(folder: pathlib.Path) -> bool:
    """run.json names detections.json last of all, when every slide has its state."""
    state = _state(folder)
    if state is None or not any(f.get("name") == "detections.json" for f in state.get("files", [])):
        return False
    return all(s["state"] != "waiting" for s in state["inputs"]) and (folder / "detections.json").exists()


def _part(folder: pathlib.Path, index: int) -> Optional[str]:
    """The first finished attempt by its name."""
    for attempt in sorted((folder / str(index)).glob("*")):
        if _is_finished(attempt):
            return str(attempt)
    return None


def detect_part(command: Sequence[str], parts: str, index: int, count: int) -> str:
    """The task: slide `index` (from 0) of `count` into a new folder, whose path is returned. Runs on a worker."""
    folder = pathlib.Path(parts) / str(index) / uuid.uuid4().hex
    folder.parent.mkdir(parents=True, exist_ok=True)
    words = [_program.find(), *command, "--shard", f"{index + 1}/{count}", "-o", str(folder)]
    child = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=_die_with_parent)
    if not _is_finished(folder):
        text = child.stderr.decode(errors="replace").strip()
        shutil.rmtree(folder, ignore_errors=True)
        raise RuntimeError(text or f"cytodet ended with {child.returncode}")
    return str(folder)


def _die_with_parent() -> None:
    """A program whose worker was killed would go on for nothing. Runs in the fork, where nothing may be loaded any more."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _all_parts(client: Any, command: Sequence[str], parts: pathlib.Path, count: int, retries: int) -> Tuple[Dict[int, str], int]:
    """Folders of the finished slides, by number; and how many tasks were started."""
    finished = {i: found for i in range(count) if (found := _part(parts, i))}
    attempts = 0
    errors: Dict[int, str] = {}
    for _ in range(retries + 1):
        open_parts = [i for i in range(count) if i not in finished]
        if not open_parts:
            break
        futures = {i: client.submit(detect_part, command, str(parts), i, count, pure=False) for i in open_parts}
        attempts += len(futures)
        for i, future in futures.items():
            try:
                finished[i] = _result(client, future)
            except _NoWorkers:
                raise Error("no worker is left; start some, and make the same call again to go on") from None
            except Exception as error:  # of the task, or of a worker that died too often
                errors[i] = str(error)
            found = finished.get(i) or _part(parts, i)  # perhaps by a worker whose answer was lost
            if found:
                finished[i] = found
    failed = [errors[i] for i in errors if i not in finished]
    if failed and not finished:
        raise Error(failed[0])
    return finished, attempts


class _NoWorkers(Exception):
    pass


def _result(client: Any, future: Any) -> str:
    """Waits as long as there are workers; a cluster without any for a minute will not come back by itself."""
    since = None
    while True:
        try:
            return str(future.result(timeout=_POLL))
        except (TimeoutError, asyncio.TimeoutError):  # one since Python 3.11; the wait's, or the task's own
            if future.status != "pending":
                raise
        if client.scheduler_info()["workers"]:
            since = None
        else:
            since = since or time.monotonic()
            if time.monotonic() - since > _PATIENCE:
                raise _NoWorkers


def _join(folders: Sequence[str], target: pathlib.Path, partial: bool) -> None:
    words = [_program.find(), "collect", *folders, "-o", str(target)] + (["--allow-missing"] if partial else [])
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if not _is_finished(target):
        raise Error(done.stderr.decode(errors="replace").strip().replace("cytodet: error: ", "") or f"collect ended with {done.returncode}")
