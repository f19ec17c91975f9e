"""What every message goes through, as machine code where `imserver compile` has made it, else as it stands.

mypyc makes it of the same sources, and it does the same in less time. It lies in `_compiled`, with a digest
of everything that it was made of and for. Where one of these is another now (a source was changed, Python is
a new one), all of it is left aside and the sources are run. IMSERVER_PURE=1 has it so always.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from hashlib import sha256
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

PACKAGE: Final = Path(__file__).parent
FOLDER: Final = PACKAGE / "_compiled"
MANIFEST: Final = "manifest.json"
PURE: Final = "IMSERVER_PURE"

MODULES: Final = (
    "imserver.backends.embedded.appends",
    "imserver.backends.embedded.bloom",
    "imserver.backends.embedded.committer",
    "imserver.backends.embedded.dedupe",
    "imserver.backends.embedded.entities",
    "imserver.backends.embedded.journal",
    "imserver.backends.embedded.runs",
    "imserver.backends.embedded.send_rate",
    "imserver.backends.embedded.state",
    "imserver.backends.embedded.tails",
    "imserver.protocols.authentication",
    "imserver.protocols.frames",
    "imserver.protocols.outbox",
    "imserver.protocols.output",
    "imserver.protocols.queueing",
    "imserver.protocols.session",
    "imserver.protocols.turns",
    "imserver.wire.jsonline.plain",
    "imserver.wire.jsonline.rows",
    "imserver.wire.protobuf.encoding",
    "imserver.wire.protobuf.plain_sends",
    "imserver.wire.protobuf.rows",
    "imserver.wire.protobuf.server",
)
"""None of them may define a msgspec struct (its options would be lost) or a class that others derive from."""


def source(module: str, package: Path = PACKAGE) -> Path:
    """The file that a module is in."""
    return package.joinpath(*module.split(".")[1:]).with_suffix(".py")


def digest(package: Path = PACKAGE) -> str:
    """Of all sources, and of the Python that is to load what is made of them."""
    whole = sha256(f"{EXTENSION_SUFFIXES[0]} {sys.version_info[:3]}\0".encode())
    for module in MODULES:
        text = source(module, package).read_bytes()
        whole.update(f"{module} {len(text)}\0".encode() + text)
    return whole.hexdigest()


class Finder(MetaPathFinder):
    """Finds the compiled modules, by their names and files."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self._folder = folder
        self._files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See MetaPathFinder."""
        file = self._files.get(fullname)
        if file is None:
            return None
        place = str(self._folder / file)
        return spec_from_file_location(fullname, place, loader=ExtensionFileLoader(fullname, place))


def fault(package: Path = PACKAGE) -> str:
    """Why what was compiled cannot be used; "": it can."""
    try:
        manifest = json.loads((package / "_compiled" / MANIFEST).read_bytes())
        if manifest["digest"] != digest(package):
            return "what was compiled is not of these sources or not for this Python: run `imserver compile`"
        if not all((package / "_compiled" / file).exists() for file in manifest["files"].values()):
            return "a part of what was compiled is missing: run `imserver compile`"
    except FileNotFoundError:
        return "nothing was compiled: run `imserver compile`"
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"what was compiled cannot be read ({type(error).__name__}): run `imserver compile`"
    return ""


def _install() -> str:
    """Has these modules loaded as machine code from now on, if they may be."""
    if os.environ.get(PURE, "") not in ("", "0"):
        return f"{PURE} is set"
    why = fault()
    if why:
        return why
    files: dict[str, str] = json.loads((FOLDER / MANIFEST).read_bytes())["files"]
    finder = Finder(FOLDER, files)
    sys.meta_path.insert(0, finder)
    try:
        for name in files:
            if "." not in name:  # what all the others are in
                import_module(name)
    except ImportError as error:
        sys.meta_path.remove(finder)
        return f"what was compiled does not load ({error})"
    return ""


why_not: Final = _install()
"""Why this process runs the sources; "" where it runs what was compiled."""
