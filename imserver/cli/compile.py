"""`imserver compile`: what every message goes through, as machine code (see `imserver.compiled`)."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from imserver import compiled
from imserver.cli.errors import OK, REFUSED, CommandError
from imserver.cli.output import Output
from imserver.cli.parsing import Parsers, add_command

_MYPY = """\
[mypy]
namespace_packages = True
explicit_package_bases = True
ignore_missing_imports = True
[mypy-twisted.*]
follow_imports = skip
[mypy-zope.*]
follow_imports = skip
[mypy-autobahn.*]
follow_imports = skip
"""
_BUILD = """\
import sys
from mypyc.build import mypycify
from setuptools import setup
options = ["--follow-imports=silent", "--config-file=mypy.ini"]
modules = mypycify([*options, *sys.argv[1:]], opt_level="2", debug_level="0")
for module in modules:  # another compiler's warnings are no reason to have none of it
    module.extra_compile_args = [word for word in module.extra_compile_args if word != "-Werror"]
arguments = ["build_ext", "--build-lib=out"]
setup(name="compiled", packages=[], py_modules=[], ext_modules=modules, script_args=arguments)
"""
_LAST_LINES = 15
_KEPT = 3600.0
"""Seconds for which what was compiled before is kept: a server may just be loading it."""


def add_commands(parsers: Parsers) -> None:
    """Adds it."""
    command = add_command(
        parsers,
        "compile",
        _compile,
        "make machine code of what every message goes through",
        "The server then does the same with less of the processor. Needs a C compiler, Python's headers and\n"
        "mypy (requirements/compile.txt). It is used from the next start on, as long as sources and\n"
        "Python are the same; IMSERVER_PURE=1 leaves it aside.",
        "imserver compile\nimserver compile --if-possible",
    )
    command.add_argument(
        "--if-possible", action="store_true", help="end with 0, too, where something is missing or fails"
    )


def _compile(options: argparse.Namespace, output: Output) -> int:
    try:
        done = compile_modules()
    except CommandError as error:
        if not options.if_possible:
            raise
        output.result({"compiled": False, "text": error.text}, f"imserver runs uncompiled: {error.text}")
        return OK
    output.result({"compiled": True}, "compiled" if done else "compiled already")
    return OK


def compile_modules(package: Path = compiled.PACKAGE) -> bool:
    """Compiles, unless that was done.

    Returns:
        whether there was something to do.

    Raises:
        CommandError: something is missing, or the compiler failed.
    """
    missing = _missing()
    try:
        _, manifest = compiled.usable(package)
    except compiled.Unusable:
        pass
    else:
        if missing or manifest.get("mypy") == metadata.version("mypy"):
            return False
    if missing:
        raise CommandError(REFUSED, f"to compile, {' and '.join(missing)} must be installed")
    try:
        parent = package / compiled.FOLDER
        parent.mkdir(exist_ok=True)
        parent.chmod(0o755)
        with (
            tempfile.TemporaryDirectory(prefix="imserver-compile-") as place,
            tempfile.TemporaryDirectory(prefix="new-", dir=parent, ignore_cleanup_errors=True) as new,
        ):
            _build(package, Path(place))
            _put(Path(place, "out"), Path(new), parent / compiled.digest(Path(place, "imserver")))
    except OSError as error:
        raise CommandError(REFUSED, f"it failed: {error}") from None
    return True


def _build(package: Path, place: Path) -> None:
    """Of a copy of the package, so that what is made is of what its digest says."""
    others = shutil.ignore_patterns(compiled.FOLDER, "__pycache__")
    shutil.copytree(package, place / "imserver", ignore=others)
    (place / "mypy.ini").write_text(_MYPY)
    sources = [str(compiled.source(module, Path("imserver"))) for module in compiled.MODULES]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MYPY")}
    built = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _BUILD, *sources],
        cwd=place,
        env={**environment, compiled.PURE: "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        raise CommandError(REFUSED, "\n".join(["it failed:", *built.stdout.splitlines()[-_LAST_LINES:]]))


def _missing() -> list[str]:
    missing = []
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        missing.append(f"a C compiler ({compiler})")
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        missing.append("Python's headers (python3-dev)")
    missing += [name for name in ("mypyc", "setuptools") if importlib.util.find_spec(name) is None]
    return missing


def _put(built: Path, new: Path, folder: Path) -> None:
    """Puts modules where they are looked for, all at once; running servers keep what they have loaded."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    files = {}
    for file in sorted(built.rglob(f"*{suffix}")):
        module = ".".join(file.relative_to(built).parts).removesuffix(suffix)
        content = file.read_bytes()
        files[module] = (f"{module}{suffix}", sha256(content).hexdigest())
        _write(new / files[module][0], content)
    manifest = {"mypy": metadata.version("mypy"), "files": files}
    _write(new / compiled.MANIFEST, json.dumps(manifest, indent=1).encode())
    new.chmod(0o755)
    if folder.exists():  # damaged, or of another mypy
        folder.rename(new.with_name(f"old-{new.name}"))
    new.rename(folder)
    for other in folder.parent.iterdir():
        if other != folder and other.stat().st_mtime < folder.stat().st_mtime - _KEPT:
            shutil.rmtree(other, ignore_errors=True)


def _write(place: Path, content: bytes) -> None:
    with place.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    place.chmod(0o644)
