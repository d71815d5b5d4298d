"""A stand-in for Timeloop's tools: replays what a recorded run left, or behaves as badly as it is told.

Installed under the tools' names by the tests. `STANDIN_CASE` names what to do; each call appends a line to the file
`STANDIN_CALLS`. Of a mapping with remainders (`P=4,2`) it replays another run, `<case>_at_the_end`, where there is
one. Writes are not checked, as the tool's own are not.
"""

import gzip
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

RECORDED = Path(os.environ["STANDIN_RECORDED"])
STATUS = {"fail_bad_algo": 255, "fail_bad_target": 1, "fail_simba_M21": 1}
ABORTS = ("fail_bad_meshX", "fail_garbage")

name = Path(sys.argv[0]).name
case = os.environ["STANDIN_CASE"]
assert sys.argv[1:] in (["in.yaml"], ["parsed-processed-input.yaml"]) and Path(sys.argv[1]).is_file(), sys.argv
with Path(os.environ["STANDIN_CALLS"]).open("a") as calls:
    calls.write(f"{name} {Path.cwd()}\n")


def replay(run: str) -> None:
    for file in sorted((RECORDED / run).iterdir()):
        content = file.read_bytes()
        if file.name in ("console.log", "tl.log"):
            sys.stdout.write(content.decode())
            sys.stdout.flush()
            continue
        if file.suffix == ".gz":
            content = gzip.decompress(content)
        with suppress(OSError):
            Path(file.name.removesuffix(".gz").replace("timeloop-mapper", name)).write_bytes(content)


if case == "hang":
    # what it starts must not outlive it
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(os.environ["STANDIN_CALLS"] + ".pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)
elif case == "cut_off":
    replay("simba_like_00")
    path = Path(f"{name}.map+stats.xml")
    path.write_bytes(path.read_bytes()[:20_000])
elif case == "silent":
    sys.exit(0)
elif case == "not_fitting":
    print("ERROR: couldn't map level PEAccuBuffer: mapped tile size 256 exceeds buffer capacity 128", file=sys.stderr)
    sys.exit(1)
elif case == "no_library":
    print("timeloop-mapper: error while loading shared libraries: libconfig++.so.9: cannot open", file=sys.stderr)
    sys.exit(127)
else:
    if os.environ.get("STANDIN_SECONDS"):
        time.sleep(float(os.environ["STANDIN_SECONDS"]))
    at_the_end = f"{case}_at_the_end"
    leaves = re.search(r"\b[A-Z]=\d+,\d", Path("in.yaml").read_text())
    replay(at_the_end if leaves and (RECORDED / at_the_end).is_dir() else case)
    if case == "fail_garbage":
        print("terminate called after throwing an instance of 'YAML::ParserException'", file=sys.stderr)
    if case in ABORTS:
        os.kill(os.getpid(), signal.SIGABRT)
    sys.exit(STATUS.get(case, 0))
