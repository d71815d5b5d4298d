"""A real PostgreSQL server of the tests' own, on a socket in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Missing", "server"]


class Missing(Exception):
    """Why there can be no server here."""


@contextmanager
def server() -> Iterator[str]:
    """Its address; SQLAlchemy's, without a database's name. Raises Missing."""
    try:
        import psycopg  # noqa: F401  # the driver that the address needs
    except ImportError:
        raise Missing("no psycopg: pip install paretocut[postgresql]") from None
    programs = _programs()
    # Not pytest's folder, which only its user may enter: initdb refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    as_user = _unprivileged(folder)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise Missing(f"{program} failed: {(done.stderr or done.stdout).strip()[-300:]}")

    try:
        run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://postgres@/{{database}}?host={folder}"
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        raise Missing("no PostgreSQL server: install Debian's postgresql")
    return Path(initdb).parent


def _unprivileged(folder: Path) -> list[str]:
    """What runs a command as somebody who is not root, to whom the folder is given."""
    if os.getuid() != 0:
        return []
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        raise Missing("initdb refuses root, and there is no user postgres") from None
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["runuser", "-u", "postgres", "--"]
