"""Where recorded figures lie: the whole reference beside the checkout if it is there, else the excerpts kept here."""

from pathlib import Path

EXCERPTS = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[2] / "shared" / "reference"


def recorded(name: str) -> Path:
    """The file of that name, whole if possible. Fails where neither is there: a test without data proves nothing."""
    for folder in (SHARED, EXCERPTS):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"no recorded figures {name} in {SHARED} or {EXCERPTS}")
