"""The wrapper on a stand-in: results, every way to fail, time limits, dying parents, full disks, shared memos."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaluators.mapper.mapping import Mapping
from evaluators.memo import Memo
from evaluators.timeloop import Searched, SearchSettings, Timeloop, TimeloopError
from evaluators.timeloop.process import Job, Run, run_all
from search_spaces import accelerators
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.types import ConvShape
from tests.timeloop import StandIn

SIMBA = accelerators.build("simba_like")
LAYER = ConvShape(N=1, C=3, M=64, P=111, Q=111, R=3, S=3, stride_w=2, stride_h=2)
OTHER = ConvShape(N=1, C=3, M=64, P=55, Q=55, R=3, S=3)
SETTINGS = SearchSettings()


def search(tool: Timeloop, *shapes: ConvShape, **options: Any) -> list[Searched | IllegalDesign]:
    return tool.search([(shape, SIMBA) for shape in shapes], SETTINGS, **options)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition: Any) -> None:
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.01)


# what works


def test_a_search_gives_mapping_figures_and_warnings(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("simba_like_00")
    (found,) = search(Timeloop(Memo()), LAYER)
    assert isinstance(found, Searched)
    assert found.output.cycles == 110889
    assert found.mapping.to_text() == "Q111;;/;;C3/R3S3;;/;;M4/;M16;/P111;;"
    assert found.mapspace_size == 14175 * 24 * 512
    assert found.output.warnings == ("Constraint C=4 exceeds problem dimension C=3, ignoring.",)
    assert not list(tmp_path.glob("timeloop-*")), "a run that succeeded leaves nothing behind"


def test_the_model_gives_figures_for_our_mapping(stand_in: StandIn) -> None:
    stand_in.does("simba_like_00")
    mapping = Mapping.from_text("Q111;;/;;C3/R3S3;;/;;M4/;M16;/P111;;")
    (found,) = Timeloop(Memo()).model([(LAYER, SIMBA, mapping)])
    assert not isinstance(found, IllegalDesign)
    assert found.level("DRAM").reads == (1728, 149187, 0)


def test_nothing_is_run_twice(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("simba_like_00")
    memo = Memo(tmp_path / "memo.db")
    told: list[tuple[int, int]] = []
    first = search(Timeloop(memo), LAYER, LAYER, OTHER, progress=lambda *at: told.append(at))
    assert first[0] == first[1]
    assert len(stand_in.folders) == 2
    assert told[0] == (0, 3)
    assert told[-1] == (3, 3)
    assert search(Timeloop(Memo(tmp_path / "memo.db")), LAYER, OTHER) == [first[0], first[2]]
    assert len(stand_in.folders) == 2
    search(Timeloop(memo), LAYER, table="timeloop-be27768")
    Timeloop(memo).search([(LAYER, SIMBA)], SearchSettings(metric="delay"))
    assert len(stand_in.folders) == 4, "other energies or another metric are other questions"


def test_another_tool_is_asked_again(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("simba_like_00")
    memo = Memo()
    search(Timeloop(memo), LAYER)
    with (tmp_path / "bin" / "timeloop-mapper").open("a") as file:
        file.write("# another build\n")
    search(Timeloop(memo), LAYER)
    assert len(stand_in.folders) == 2


def test_runs_are_kept_where_asked(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("simba_like_00")
    runs = tmp_path / "deep" / "runs"
    search(Timeloop(Memo(), runs=runs), LAYER)
    (folder,) = runs.iterdir()
    assert {"in.yaml", "run.log", "timeloop-mapper.map+stats.xml"} <= {file.name for file in folder.iterdir()}


def test_several_run_at_once(stand_in: StandIn) -> None:
    stand_in.does("simba_like_00", seconds=0.7)
    shapes = [ConvShape(N=1, C=3, M=64, P=n, Q=111, R=3, S=3) for n in range(1, 5)]
    most = 0

    def watch(done: int, total: int) -> None:
        nonlocal most
        most = max(most, len(stand_in.folders) - done)

    found = search(Timeloop(Memo()), *shapes, workers=4, progress=watch)
    assert len(found) == 4
    assert most >= 2, "while one ended, others had begun"


# what does not map


def test_no_mapping_is_an_answer_and_remembered(stand_in: StandIn) -> None:
    stand_in.does("fail_eyeriss_S13")
    memo = Memo()
    for _ in range(2):
        (found,) = search(Timeloop(memo), LAYER)
        assert isinstance(found, IllegalDesign)
        assert found.reason == "layer does not map"
        assert "M=64" in str(found)
    assert len(stand_in.folders) == 1


def test_a_mapping_that_does_not_fit_is_an_answer(stand_in: StandIn) -> None:
    stand_in.does("not_fitting")
    mapping = Mapping.from_text("Q111;;/M2;;C3/R3S3;;/;;M4/;M8;/P111;;")
    (found,) = Timeloop(Memo()).model([(LAYER, SIMBA, mapping)])
    assert isinstance(found, IllegalDesign)
    assert "mapped tile size 256 exceeds buffer capacity 128" in str(found)


# what fails


@pytest.mark.parametrize(
    ("case", "ended", "cause"),
    [
        ("fail_no_accelergy", "exited with status 0", "Accelergy is not installed"),
        ("fail_simba_M21", "exited with status 1", "does not divide the layer"),
        ("fail_bad_target", "exited with status 1", "names a level"),
        ("fail_bad_algo", "exited with status 255", "algorithm is misspelt"),
        ("fail_bad_meshX", "was ended by SIGABRT", "meshX does not divide"),
        ("fail_garbage", "was ended by SIGABRT", "not well-formed YAML"),
        ("fail_tech32", "exited with status 0", "would have charged 1 pJ"),
        ("eyeriss_like_00", "exited with status 0", "its result has the levels psum_spad"),
        ("cut_off", "exited with status 0", "is the disk full?"),
        ("silent", "exited with status 0", "unknown to us"),
        ("no_library", "exited with status 127", "library of the tool is missing"),
    ],
)
def test_every_failure_leaves_a_trail(case: str, ended: str, cause: str, stand_in: StandIn) -> None:
    stand_in.does(case)
    memo = Memo()
    with pytest.raises(TimeloopError) as error:
        search(Timeloop(memo), LAYER)
    message = str(error.value)
    (folder,) = stand_in.folders
    assert "timeloop-mapper" in message.split()[0]
    assert ended in message
    assert "M=64" in message
    assert cause in message
    assert (folder / "in.yaml").is_file(), "what failed is kept"
    assert f"cd {shlex.quote(str(folder))} && " in message
    command = message.partition("repeat with: ")[2].partition(";")[0]
    log = (folder / "run.log").read_text().splitlines()
    if log:
        assert log[-1].strip() in message
        again = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        assert log[-1].strip() in again.stdout + again.stderr, "the command repeats it"
    assert memo.info().entries == {}, "a failure is no answer"


def test_a_tool_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="timeloop-mapper is not on the PATH"):
        search(Timeloop(Memo()), LAYER)


def test_the_path_may_be_relative(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.does("simba_like_00")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "bin")
    (found,) = search(Timeloop(Memo()), LAYER)
    assert isinstance(found, Searched)


def test_a_tool_that_cannot_be_run(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "bin" / "timeloop-mapper").write_text("#!/no/such/interpreter\n")
    with pytest.raises(TimeloopError, match="cannot run"):
        search(Timeloop(Memo()), LAYER)
    assert not list(tmp_path.glob("timeloop-*"))


def test_a_folder_that_cannot_be_made(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TimeloopError, match="cannot make a folder"):
        search(Timeloop(Memo(), runs=tmp_path / "file"), LAYER)


def test_what_ended_before_a_failure_is_kept(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    memo = Memo()

    def then_fail(done: int, total: int) -> None:
        if done == 1:
            stand_in.does("silent")

    stand_in.does("simba_like_00")
    with pytest.raises(TimeloopError):
        search(Timeloop(memo), LAYER, OTHER, progress=then_fail)
    assert memo.info().entries == {"timeloop-mapper": 1}


def test_what_ended_with_a_failure_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three runs end between two looks, the first and the last without result; a fourth still runs and is stopped."""
    taken: list[int] = []

    def until_three_ended(seconds: float) -> None:
        (tmp_path / "go").touch()
        wait_until(lambda: len(list(tmp_path.glob("done*"))) == 3)
        time.sleep(0.2)

    def take(place: int, run: Run) -> None:
        run.discard()
        if place in (0, 2):
            raise TimeloopError(f"run {place}")
        taken.append(place)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=until_three_ended)
    monkeypatch.setattr("evaluators.timeloop.process.time", clock)
    go = f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; touch {tmp_path}/done"
    jobs = [Job("a job", ("-c", f"{go}{i}"), {}) for i in range(3)] + [
        Job("a long job", ("-c", f"echo $$ > {tmp_path}/pid; exec sleep 60"), {})
    ]
    with pytest.raises(TimeloopError, match="run 0"):
        run_all(Path("/bin/sh"), jobs, take, limit_s=60, workers=4, runs=tmp_path / "runs")
    assert taken == [1]
    assert not alive(int((tmp_path / "pid").read_text()))


# time, death, disks


def test_a_search_that_hangs_is_stopped_with_all_it_started(stand_in: StandIn) -> None:
    stand_in.does("hang")
    with pytest.raises(TimeloopError, match=r"was stopped on N=1 M=64.*ran for more than 0.8 s"):
        search(Timeloop(Memo(), limit_s=0.8), LAYER)
    assert len(stand_in.pids) == 2
    wait_until(lambda: not any(map(alive, stand_in.pids)))


def test_an_interrupt_stops_what_runs(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("hang")

    def interrupt(done: int, total: int) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.5)

    def strike(*_: object) -> None:
        if len(stand_in.pids) < 2:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
        else:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, strike)
    try:
        with pytest.raises(KeyboardInterrupt):
            search(Timeloop(Memo()), LAYER, progress=interrupt)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    wait_until(lambda: not any(map(alive, stand_in.pids)))
    assert not list(tmp_path.glob("timeloop-*"))


CALLER = """
import sys
from pathlib import Path
from evaluators.memo import Memo
from evaluators.timeloop import SearchSettings, Timeloop
from search_spaces import accelerators
from search_spaces.errors import UserError
from search_spaces.types import ConvShape

shapes = [ConvShape(N=1, C=3, M=64, P=n, Q=111, R=3, S=3) for n in range(1, 1 + int(sys.argv[2]))]
memo = Memo(Path(sys.argv[1])) if sys.argv[1] else Memo()
try:
    found = Timeloop(memo).search([(shape, accelerators.build("simba_like")) for shape in shapes], SearchSettings())
except UserError as error:
    sys.exit(str(error))
print(*(searched.output.cycles for searched in found))
"""


def caller(memo: str = "", shapes: int = 1, **options: Any) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", CALLER, memo, str(shapes)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_the_tool_dies_with_a_killed_parent_and_the_next_one_cleans_up(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("silent")
    with pytest.raises(TimeloopError):
        search(Timeloop(Memo()), LAYER)
    (failed,) = tmp_path.glob("timeloop-*")
    stand_in.does("hang")
    with caller() as process:
        wait_until(lambda: len(stand_in.pids) == 2)
        stand_in.does("simba_like_00")
        search(Timeloop(Memo()), LAYER)
        assert len(list(tmp_path.glob("timeloop-*"))) == 2, "what still runs and what failed is kept"
        process.kill()
    search(Timeloop(Memo()), OTHER)
    assert list(tmp_path.glob("timeloop-*")) == [failed]
    tool, child = stand_in.pids
    wait_until(lambda: not alive(tool))
    if alive(child):  # it is the tool's own business; be27768 starts nothing but Accelergy, which ends by itself
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(("size", "says"), [(500, "cannot run"), (20_000, "is the disk full?")])
def test_a_full_disk_is_an_error(size: int, says: str, stand_in: StandIn) -> None:
    """No file can grow beyond `size`: the input does not fit, or the tool's results are cut off and it exits with 0."""
    import resource

    stand_in.does("simba_like_00")
    limit = (size, size)
    with caller(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)) as process:
        out, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert says in error
    assert "Traceback" not in error
    assert not out


def test_a_full_disk_is_named_where_the_tool_does_not(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """be27768 aborts in the middle of writing and says nothing."""
    stand_in.does("silent")
    monkeypatch.setattr("evaluators.timeloop.failures.shutil.disk_usage", lambda _: SimpleNamespace(free=4096))
    with pytest.raises(TimeloopError, match="the disk is full"):
        search(Timeloop(Memo()), LAYER)


def test_two_processes_share_a_memo(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("simba_like_00", seconds=0.05)
    memo = str(tmp_path / "memo.db")
    with caller(memo, 6) as one, caller(memo, 6) as two:
        outs = [process.communicate(timeout=60) for process in (one, two)]
    assert [out for out, _ in outs] == [f"{' '.join(['110889'] * 6)}\n"] * 2, outs
    runs = len(stand_in.folders)
    assert 6 <= runs <= 12
    with caller(memo, 6) as third:
        third.communicate(timeout=60)
    assert len(stand_in.folders) == runs, "all of it is in the memo"
    assert Memo(Path(memo)).info().entries == {"timeloop-mapper": 6}
