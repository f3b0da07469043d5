"""python -m cytodet ... is the program `cytodet ...`."""
import os
import sys

from cytodet import program


def main() -> None:
    try:
        path = program.find()
    except ValueError as e:
        sys.exit(f"cytodet: error: {e}")
    os.execv(path, ["cytodet", *sys.argv[1:]])


if __name__ == "__main__":
    main()
