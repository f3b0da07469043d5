#!/usr/bin/env python3
"""A link to this file called freeze_graph.py, quantize_graph.py, ... is that command of the program, for lines that begin with
`python freeze_graph.py`. quantize_model_zoo.py is the command zoo."""
import os
import sys

_COMMANDS = {"quantize_model_zoo": "zoo"}


def main() -> None:
    name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    if name == "tool":
        sys.exit("tool.py: call it by a link of a command's name, such as freeze_graph.py")
    # Found behind the link, whatever the folder that it lies in.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    from cytodet import program
    try:
        found = program.find()
    except ValueError as e:
        sys.exit(f"{name}.py: {e}")
    os.execv(found, [found, _COMMANDS.get(name, name), *sys.argv[1:]])


if __name__ == "__main__":
    main()
