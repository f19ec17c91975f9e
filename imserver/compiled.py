"""What every message goes through, as machine code where `imserver compile` has made it, else as it stands.

mypyc makes it of the same sources, and it does the same in less time. It lies in `_compiled`, in a folder
named by a digest of everything that it was made of and for. Where one of these is another now (a source was
changed, Python is a new one), it is left aside and the sources are run. IMSERVER_PURE=1 has it so always.
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
from typing import Any, Final

PACKAGE: Final = Path(__file__).parent
FOLDER: Final = "_compiled"
"""Of the package. What was compiled of the same sources for the same Python has a folder of its own in it."""
MANIFEST: Final = "manifest.json"
"""The files by the names of their modules, each with the SHA-256 of what is in it; and mypy's version."""
PURE: Final = "IMSERVER_PURE"

MODULES: Final = (
    "imserver.backends.embedded.appends",
    "imserver.backends.embedded.bloom",
    "imserver.backends.embedded.committer",
    "imserver.backends.embedded.dedupe",
    "imserver.backends.embedded.entities",
    "imserver.backends.embedded.journal",
    "imserver.backends.embedded.log_packing",
    "imserver.backends.embedded.metering",
    "imserver.backends.embedded.new_records",
    "imserver.backends.embedded.runs",
    "imserver.backends.embedded.send_rate",
    "imserver.backends.embedded.state",
    "imserver.backends.embedded.tails",
    "imserver.model.message_rows",
    "imserver.protocols.authentication",
    "imserver.protocols.flushing",
    "imserver.protocols.frames",
    "imserver.protocols.outbox",
    "imserver.protocols.output",
    "imserver.protocols.queueing",
    "imserver.protocols.session",
    "imserver.protocols.turns",
    "imserver.services.delivery",
    "imserver.services.live",
    "imserver.services.outgoing",
    "imserver.services.registry",
    "imserver.services.sending",
    "imserver.tap.fast_loop",
    "imserver.wire.jsonline.answers",
    "imserver.wire.jsonline.plain",
    "imserver.wire.jsonline.pushes",
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
    """Of all sources, and of the Python that is to load what is made of them.

    Of all, not only of these modules: constants of others are compiled into them, and types are relied upon.

    Raises:
        OSError: one cannot be read.
    """
    whole = sha256(f"{EXTENSION_SUFFIXES[0]} {sys.version_info[:3]}\0".encode())
    for place in sorted((*package.rglob("*.py"), *package.rglob("*.pyi"))):
        text = place.read_bytes()
        whole.update(f"{place.relative_to(package)} {len(text)}\0".encode() + text)
    return whole.hexdigest()[:32]


class Unusable(Exception):
    """Why what was compiled cannot be used."""


def usable(package: Path = PACKAGE) -> tuple[Path, dict[str, Any]]:
    """The folder of what was compiled of these very sources, and its manifest.

    Raises:
        Unusable: there is none.
    """
    if not (package / FOLDER).is_dir():
        raise Unusable("nothing was compiled: run `imserver compile`")
    try:
        folder = package / FOLDER / digest(package)
        if not folder.is_dir():
            raise Unusable("nothing was compiled of these sources for this Python: run `imserver compile`")
        manifest = json.loads((folder / MANIFEST).read_bytes())
        for file, sum in manifest["files"].values():
            if sha256((folder / file).read_bytes()).hexdigest() != sum:
                raise Unusable("what was compiled is damaged: run `imserver compile`")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Unusable(f"what was compiled cannot be read ({error}): run `imserver compile`") from None
    return folder, manifest


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


def _install() -> str:
    """Has these modules loaded as machine code from now on, if they may be."""
    if os.environ.get(PURE, "") not in ("", "0"):
        return f"{PURE} is set"
    try:
        folder, manifest = usable()
    except Unusable as why:
        return str(why)
    files = {name: file for name, (file, _) in manifest["files"].items()}
    finder = Finder(folder, files)
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
