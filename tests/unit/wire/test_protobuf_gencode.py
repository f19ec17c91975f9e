"""The generated module belongs to the schema beside it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import imserver

ROOT = Path(imserver.__file__).parent.parent
FOLDER = Path("imserver") / "wire" / "protobuf"


class GencodeTests(SynchronousTestCase):
    """Compares with what the locked generator makes of im_protocol.proto."""

    def test_is_what_the_generator_writes(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [
                    *(sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={folder}"),
                    *(f"--pyi_out={folder}", str(FOLDER / "im_protocol.proto")),
                ],
                cwd=ROOT,
                check=True,
                capture_output=True,
                timeout=60,
            )
            for name in ("im_protocol_pb2.py", "im_protocol_pb2.pyi"):
                fresh = (Path(folder) / FOLDER / name).read_text("utf-8")
                self.assertEqual(fresh, (ROOT / FOLDER / name).read_text("utf-8"), name)

    def test_runtime_is_not_older_than_the_generated_code(self) -> None:
        """The generated module checks that at import; this names the two versions where it is close."""
        source = (ROOT / FOLDER / "im_protocol_pb2.py").read_text("utf-8")
        line = next(line for line in source.splitlines() if line.startswith("# Protobuf Python Version: "))
        generated = tuple(int(part) for part in line.rpartition(" ")[2].split("."))
        installed = tuple(int(part) for part in version("protobuf").split(".")[:3])
        self.assertLessEqual(generated, installed)
        self.assertEqual(generated[0], installed[0])
