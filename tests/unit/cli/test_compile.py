"""Compiled code is used where it fits, and only there."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest import SkipTest

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

    def fault(self) -> str:
        """Why what was compiled cannot be used."""
        try:
            compiled.usable(self.package)
        except compiled.Unusable as why:
            return str(why)
        return ""

    def as_if_compiled(self, **manifest: Any) -> Path:
        folder = self.package / compiled.FOLDER / compiled.digest(self.package)
        folder.mkdir(parents=True)
        (folder / "a.so").write_bytes(b"machine code")
        files = {"a": ("a.so", sha256(b"machine code").hexdigest())}
        (folder / compiled.MANIFEST).write_text(json.dumps({"mypy": "1", "files": files} | manifest))
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
        self.assertIn("nothing was compiled", self.fault())

    def test_it_fits(self) -> None:
        self.as_if_compiled()
        self.assertEqual("", self.fault())

    def test_any_source_is_another(self) -> None:
        self.as_if_compiled()
        others = [self.package / name for name in ("model/ids.py", "wire/protobuf/im_protocol_pb2.pyi")]
        for source in [*(compiled.source(module, self.package) for module in compiled.MODULES), *others]:
            text = source.read_bytes()
            source.write_bytes(text + b"\n")
            self.assertIn("nothing was compiled of these sources", self.fault(), source)
            source.write_bytes(text)
        self.assertEqual("", self.fault())

    def test_another_python(self) -> None:
        self.as_if_compiled()
        self.patch(compiled, "EXTENSION_SUFFIXES", [".cpython-399-x86_64-linux-gnu.so"])
        self.assertIn("for this Python", self.fault())

    def test_a_part_is_damaged_or_missing(self) -> None:
        folder = self.as_if_compiled()
        (folder / "a.so").write_bytes(b"machine")
        self.assertIn("is damaged", self.fault())
        (folder / "a.so").unlink()
        self.assertIn("cannot be read", self.fault())

    def test_what_cannot_be_read(self) -> None:
        folder = self.as_if_compiled()
        for text in ("", "{", "[]", "{}", "3", '{"files": 3}', '{"files": {"a": 3}}'):
            (folder / compiled.MANIFEST).write_text(text)
            self.assertIn("cannot be read", self.fault(), text)
        (self.package / "left.py").symlink_to("nowhere")
        self.assertIn("cannot be read", self.fault())


class UseTest(PackageCase):
    CODE = (
        "from imserver.backends.embedded import runs; print(runs.__file__.rsplit('.')[-1], compiled.why_not)"
    )

    def setUp(self) -> None:
        super().setUp()
        missing = compiling._missing()
        if missing:
            raise SkipTest(f"compiling needs {' and '.join(missing)}")
        compiling.compile_modules()  # which `make` has done
        shutil.copytree(compiled.PACKAGE / compiled.FOLDER, self.package / compiled.FOLDER)
        self.folder, _ = compiled.usable(self.package)

    def test_it_is_used(self) -> None:
        self.assertEqual("so", self.answer(self.CODE))
        names = "import importlib, sys\nfor name in compiled.MODULES: importlib.import_module(name)\n"
        files = "print(*{sys.modules[name].__file__.rsplit('.')[-1] for name in compiled.MODULES})"
        self.assertEqual("so", self.answer(names + files))

    def test_sources_that_were_changed_are_run(self) -> None:
        source = compiled.source("imserver.backends.embedded.bloom", self.package)
        source.write_text(source.read_text() + "\n")
        self.assertRegex(self.answer(self.CODE), "^py nothing was compiled of these sources")

    def test_it_can_be_left_aside(self) -> None:
        self.assertEqual("py IMSERVER_PURE is set", self.answer(self.CODE, IMSERVER_PURE="1"))
        self.assertEqual("so", self.answer(self.CODE, IMSERVER_PURE="0"))

    def test_what_does_not_load_is_left_aside(self) -> None:
        for file in self.folder.glob(f"*__mypyc{SUFFIX}"):
            file.write_bytes(b"nothing that can be loaded")
        self.assertRegex(self.answer(self.CODE), "^py what was compiled is damaged")
        text = (self.folder / compiled.MANIFEST).read_text()
        manifest = json.loads(text)
        for name, (file, _) in manifest["files"].items():
            manifest["files"][name] = (file, sha256((self.folder / file).read_bytes()).hexdigest())
        (self.folder / compiled.MANIFEST).write_text(json.dumps(manifest))
        self.assertRegex(self.answer(self.CODE), "^py what was compiled does not load")

    def test_logs_have_their_names(self) -> None:
        code = (
            "from imserver.backends.embedded.journal import Journal\n"
            "from imserver.protocols.output import SessionOutput\n"
            "print(Journal._log.namespace, SessionOutput.log.namespace)"
        )
        names = "imserver.backends.embedded.journal.Journal imserver.protocols.output.SessionOutput"
        self.assertEqual(names, self.answer(code))


class CommandTest(CliCase):
    def test_what_is_missing(self) -> None:
        package = copied(self)
        self.patch(shutil, "which", lambda name: None)
        error = self.assertRaises(CommandError, compiling.compile_modules, package)
        self.assertRegex(error.text, r"a C compiler \(\S+\) must be installed")
        self.assertFalse((package / compiled.FOLDER).exists())

    def test_there_is_nothing_to_do(self) -> None:
        self.patch(compiled, "usable", lambda package: (package, {"mypy": metadata.version("mypy")}))
        self.assertFalse(compiling.compile_modules())

    def test_it_fails(self) -> None:
        package = copied(self)
        self.patch(compiling, "_missing", list)
        self.patch(compiling, "_BUILD", "import sys; sys.exit('no good')")
        error = self.assertRaises(CommandError, compiling.compile_modules, package)
        self.assertEqual("it failed:\nno good", error.text)
        (package / compiled.FOLDER).rmdir()
        (package / compiled.FOLDER).touch()
        error = self.assertRaises(CommandError, compiling.compile_modules, package)
        self.assertRegex(error.text, "it failed: .*File exists")

    def test_what_was_made_takes_its_place(self) -> None:
        package = copied(self)
        self.patch(compiling, "_missing", list)
        built = f"import os; os.makedirs('out/imserver'); open('out/imserver/x{SUFFIX}', 'w').write('code')"
        self.patch(compiling, "_BUILD", built)
        stale = package / compiled.FOLDER / "stale"
        stale.mkdir(parents=True)
        os.utime(stale, (0, 0))
        self.assertTrue(compiling.compile_modules(package))
        folder, manifest = compiled.usable(package)
        self.assertEqual([folder], [*(package / compiled.FOLDER).iterdir()])
        self.assertEqual(["imserver.x"], [*manifest["files"]])
        self.assertFalse(compiling.compile_modules(package))
        (folder / f"imserver.x{SUFFIX}").write_text("cod")
        self.assertTrue(compiling.compile_modules(package))
        self.assertEqual(folder, compiled.usable(package)[0])

    def test_modules_are_there_and_define_no_structs(self) -> None:
        for module in compiled.MODULES:
            text = compiled.source(module).read_text()
            self.assertIsNone(re.search(r"^class \w+\(.*Struct\b", text, re.M), module)

    def test_objects_of_their_classes_are_the_class_s(self) -> None:
        # As plain class attributes each instance would have its own, and descriptors would not be asked.
        for module in compiled.MODULES:
            text = compiled.source(module).read_text()
            for defined in ast.parse(text).body:
                if isinstance(defined, ast.ClassDef):
                    made = [
                        line for line in defined.body if isinstance(getattr(line, "value", None), ast.Call)
                    ]
                    plain = [line for line in made if "ClassVar" not in ast.unparse(line)]
                    self.assertEqual(plain, [], module)
