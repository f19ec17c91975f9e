"""Compiled code is used where it fits, and only there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from tempfile import mkdtemp

from twisted.trial.unittest import SynchronousTestCase

from imserver import compiled
from imserver.cli import compile as compiling
from imserver.cli.errors import CommandError
from tests.unit.cli.running import CliCase

SUFFIX = EXTENSION_SUFFIXES[0]


def copied(case: SynchronousTestCase) -> Path:
    """The package, without what was compiled of it."""
    place = Path(mkdtemp())
    case.addCleanup(shutil.rmtree, place)
    others = shutil.ignore_patterns("_compiled*", "__pycache__")
    return shutil.copytree(compiled.PACKAGE, place / "imserver", ignore=others)


class PackageCase(SynchronousTestCase):
    """A copy of the package, without what was compiled of it."""

    def setUp(self) -> None:
        self.package = copied(self)

    def as_if_compiled(self) -> Path:
        folder = self.package / "_compiled"
        folder.mkdir()
        manifest = {"digest": compiled.digest(self.package), "files": {}}
        (folder / compiled.MANIFEST).write_text(json.dumps(manifest))
        return folder

    def answer(self, code: str, **environment: str) -> str:
        """What a program says that has imported this copy."""
        words = [sys.executable, "-c", f"import imserver\nfrom imserver import compiled\n{code}"]
        told = {key: value for key, value in os.environ.items() if key != compiled.PURE}
        done = subprocess.run(
            words,
            cwd=self.package.parent,  # the first place to look for it
            env=told | environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()


class FaultTest(PackageCase):
    def test_nothing_was_compiled(self) -> None:
        self.assertIn("nothing was compiled", compiled.fault(self.package))

    def test_it_fits(self) -> None:
        self.as_if_compiled()
        self.assertEqual("", compiled.fault(self.package))

    def test_any_source_is_another(self) -> None:
        self.as_if_compiled()
        for module in compiled.MODULES:
            source = compiled.source(module, self.package)
            text = source.read_bytes()
            source.write_bytes(text + b"\n")
            self.assertIn("not of these sources", compiled.fault(self.package), module)
            source.write_bytes(text)
        self.assertEqual("", compiled.fault(self.package))

    def test_another_python(self) -> None:
        self.as_if_compiled()
        self.patch(compiled, "EXTENSION_SUFFIXES", [".cpython-399-x86_64-linux-gnu.so"])
        self.assertIn("not for this Python", compiled.fault(self.package))

    def test_a_part_is_missing(self) -> None:
        folder = self.as_if_compiled()
        manifest = {"digest": compiled.digest(self.package), "files": {"a": "a.so", "b": "b.so"}}
        (folder / compiled.MANIFEST).write_text(json.dumps(manifest))
        (folder / "a.so").touch()
        self.assertIn("is missing", compiled.fault(self.package))
        (folder / "b.so").touch()
        self.assertEqual("", compiled.fault(self.package))

    def test_what_cannot_be_read(self) -> None:
        folder = self.as_if_compiled()
        for text in ("", "{", "[]", "{}", "3", json.dumps({"digest": compiled.digest(self.package)})):
            (folder / compiled.MANIFEST).write_text(text)
            self.assertIn("cannot be read", compiled.fault(self.package), text)


class UseTest(PackageCase):
    CODE = (
        "from imserver.backends.embedded import runs; print(runs.__file__.rsplit('.')[-1], compiled.why_not)"
    )

    def setUp(self) -> None:
        super().setUp()
        if compiled.fault():
            # `make` has compiled it where there is a compiler; this one is for who runs the tests otherwise.
            compiling.compile_modules()
        shutil.copytree(compiled.FOLDER, self.package / "_compiled")

    def test_it_is_used(self) -> None:
        self.assertEqual("so", self.answer(self.CODE))
        names = "import importlib, sys\nfor name in compiled.MODULES: importlib.import_module(name)\n"
        files = "print(*{sys.modules[name].__file__.rsplit('.')[-1] for name in compiled.MODULES})"
        self.assertEqual("so", self.answer(names + files))

    def test_sources_that_were_changed_are_run(self) -> None:
        source = compiled.source("imserver.backends.embedded.bloom", self.package)
        source.write_text(source.read_text() + "\n")
        self.assertRegex(self.answer(self.CODE), "^py what was compiled is not of these sources")

    def test_it_can_be_left_aside(self) -> None:
        self.assertEqual("py IMSERVER_PURE is set", self.answer(self.CODE, IMSERVER_PURE="1"))
        self.assertEqual("so", self.answer(self.CODE, IMSERVER_PURE="0"))

    def test_what_does_not_load_is_left_aside(self) -> None:
        for file in (self.package / "_compiled").glob(f"*__mypyc{SUFFIX}"):
            file.write_bytes(b"nothing that can be loaded")
        self.assertRegex(self.answer(self.CODE), "^py what was compiled does not load")


class CommandTest(CliCase):
    def test_what_is_missing(self) -> None:
        package = copied(self)
        self.patch(shutil, "which", lambda name: None)
        error = self.assertRaises(CommandError, compiling.compile_modules, package)
        self.assertRegex(error.text, r"a C compiler \(\S+\) must be installed")
        self.assertEqual([], [*package.glob("_compiled*")])

    def test_there_is_nothing_to_do(self) -> None:
        self.patch(compiled, "fault", lambda package: "")
        self.assertFalse(compiling.compile_modules())

    def test_modules_are_there_and_define_no_structs(self) -> None:
        for module in compiled.MODULES:
            text = compiled.source(module).read_text()
            self.assertIsNone(re.search(r"^class \w+\(.*Struct\b", text, re.M), module)
