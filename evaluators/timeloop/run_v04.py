"""Run a tool of Timeloop on v0.4 input: its front end rewrites the input, then this process becomes the tool.

    python run_v04.py where                            the package that is the front end, and its folder
    python run_v04.py /path/to/timeloop-mapper in.yaml

Started by the Python that has the front end, perhaps another than ours, so nothing of this project is imported here.
As it becomes the tool, exit status, log, time limit and process group are the tool's.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import StringIO
from pathlib import Path

PACKAGES = ("pytimeloop.timeloopfe", "timeloopfe")
NO_FRONT_END = "ERROR: no front end of Timeloop"
REFUSES = "ERROR: the front end refuses the input"
PROCESSED = "parsed-processed-input.yaml"  # as the front end's own calls name it
MAPPING = "mapping.yaml"  # a mapping of the levels that the tool knows, where the model is to take one
_TELLING = 400  # characters: its messages repeat the whole input and say at last what is wrong


def front_end() -> str:
    """The name of the first package that can be imported; ends the process where there is none."""
    missing = []
    for name in PACKAGES:
        try:
            import_module(f"{name}.v4")
        except Exception as error:  # a broken installation may raise anything
            missing.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())}")
        else:
            return name
    sys.exit(f"{NO_FRONT_END}: {'; '.join(missing)}")


def with_mapping(text: str, mapping: str) -> str:
    """The tool's input with this mapping in place of the one that the constraints make."""
    yaml = import_module("ruamel.yaml").YAML()  # what the front end itself reads by
    yaml.preserve_quotes = True
    whole = yaml.load(text)
    whole["mapping"] = yaml.load(mapping)["mapping"]
    written = StringIO()
    yaml.dump(whole, written)
    return written.getvalue()


def main() -> None:
    name = front_end()
    if sys.argv[1:] == ["where"]:
        sys.stdout.write(f"{name}\n{Path(str(import_module(name).__file__)).parent}\n")
        return
    tool, path = sys.argv[1:]
    calls = import_module(f"{name}.common.backend_calls")
    try:
        specification = import_module(f"{name}.v4").Specification.from_yaml_files(path)
        text = calls._specification_to_yaml_string(specification, for_model=tool.endswith("timeloop-model"))
        if Path(MAPPING).is_file():
            text = with_mapping(text, Path(MAPPING).read_text())
    except Exception as error:
        sys.exit(f"{REFUSES}: {type(error).__name__}: {' '.join(str(error).split())[-_TELLING:]}")
    Path(PROCESSED).write_text(text)
    sys.stdout.flush()
    os.execv(tool, [tool, PROCESSED])


if __name__ == "__main__":
    main()
