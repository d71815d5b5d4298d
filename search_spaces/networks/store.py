"""Networks as JSON, and the small cache of traced networks, so that nobody waits for torch twice.

One file per network and question in the user's cache folder, named by a hash of its identity and written
atomically; a file that cannot be read, or answers another question, counts as absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import platformdirs

from search_spaces.types import ConvShape, Cut, Layer, Network, Tensor

__all__ = ["clear", "files", "folder", "from_json", "get", "get_names", "put", "put_names", "to_json"]


def to_json(network: Network) -> dict[str, Any]:
    """A JSON-able form with the field names of the frozen types."""
    value = asdict(network)
    for cut in value["cuts"]:
        cut["layers"] = sorted(cut["layers"])
    return value


def from_json(value: Mapping[str, Any]) -> Network:
    """The network that `to_json` wrote; raises KeyError, TypeError or ValueError for anything else."""
    layers = tuple(
        Layer(**{
            **layer,
            "inputs": tuple(layer["inputs"]),
            "shape": None if layer["shape"] is None else ConvShape(**layer["shape"]),
        })
        for layer in value["layers"]
    )  # fmt: skip
    cuts = tuple(
        Cut(
            name=cut["name"],
            layers=frozenset(cut["layers"]),
            tensors=tuple(map(_tensor, cut["tensors"])),
            aliases=tuple(cut["aliases"]),
        )
        for cut in value["cuts"]
    )
    return Network(
        name=value["name"],
        input=_tensor(value["input"]),
        layers=layers,
        cuts=cuts,
        cut_mode=value["cut_mode"],
        merged=value["merged"],
        notes=tuple(value["notes"]),
    )


def _tensor(value: Mapping[str, Any]) -> Tensor:
    return Tensor(value["name"], tuple(value["shape"]))


def folder() -> Path:
    """Where traced networks are cached: beside the memo that PARETOCUT_CACHE names, or in the user's cache."""
    memo = os.environ.get("PARETOCUT_CACHE")
    if not memo:
        return platformdirs.user_cache_path("paretocut") / "networks"
    path = Path(memo).expanduser()
    return (path if path.is_dir() else path.parent) / "networks"


def files() -> list[Path]:
    """The files of the cache."""
    return sorted(folder().glob("*.json"))


def clear() -> int:
    """Forget every traced network; returns how many files there were."""
    removed = files()
    for path in (*removed, *folder().glob("*.part")):
        path.unlink(missing_ok=True)
    return len(removed)


def get(identity: Mapping[str, Any]) -> Network | None:
    """The cached network of this identity, if there is a sound one."""
    value = _read(identity)
    try:
        return None if value is None else from_json(value)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def put(identity: Mapping[str, Any], network: Network) -> None:
    """Cache a network; a folder that cannot be written only costs the next start its time."""
    _write(identity, to_json(network))


def get_names(identity: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The cached list of names of this identity."""
    value = _read(identity)
    sound = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return tuple(value) if sound and value else None


def put_names(identity: Mapping[str, Any], names: Sequence[str]) -> None:
    """Cache a list of names."""
    _write(identity, list(names))


def _path(identity: Mapping[str, Any]) -> Path:
    text = json.dumps(identity, sort_keys=True)
    name = re.sub(r"\W+", "_", str(identity.get("network", "names")))[-80:]
    return folder() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _read(identity: Mapping[str, Any]) -> Any:
    try:
        entry = json.loads(_path(identity).read_text(encoding="utf-8"))
        return entry["value"] if entry["identity"] == dict(identity) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(identity: Mapping[str, Any], value: Any) -> None:
    path = _path(identity)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    except OSError:
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"identity": dict(identity), "value": value}, file)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
