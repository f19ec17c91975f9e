"""The OpenAPI document is true: schemathesis asks the running server everything it describes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.clients.rest_client import RestClient
from tests.e2e.conftest import Serve
from tests.e2e.server import NO_RATES
from tests.e2e.test_rest import port_of, promote

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
)
EXAMPLES = 8
NO_LIMITS = (
    *NO_RATES,
    "limits.failed_logins_per_account=1000000",
    "limits.failed_logins_per_address=1000000",
    "limits.registrations_per_minute=1000000",
)


# Whoever asks for these may take the role from themselves; they have a round of their own.
ON_ONESELF = ("setRole", "disableUser")
ROUNDS = {
    "user": ("bob", ()),
    "administrator": ("alice", tuple(f"--exclude-operation-id={name}" for name in ON_ONESELF)),
    "on oneself": ("alice", tuple(f"--include-operation-id={name}" for name in ON_ONESELF)),
}


def run_schemathesis(port: int, token: str, directory: Path, *which: str) -> subprocess.CompletedProcess[str]:
    """One round over all operations, the same each time."""
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"http://127.0.0.1:{port}/api/openapi.json",
            "--header",
            f"Authorization: Bearer {token}",
            "--checks",
            ",".join(CHECKS),
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            str(EXAMPLES),
            "--generation-deterministic",
            "--warnings",
            "off",
            "--no-color",
            *which,
        ],
        cwd=directory,
        env={**os.environ, "COLUMNS": "120", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("name", ROUNDS)
async def test_the_document_is_true(serve: Serve, tmp_path: Path, name: str) -> None:
    user, which = ROUNDS[name]
    server = await serve(overrides=NO_LIMITS).start()
    promote(server, "alice")
    document = RestClient(port_of(server)).get("/api/openapi.json")
    assert (document.status, document.headers["content-type"]) == (200, "application/json")
    round_ = await deferToThread(run_schemathesis, port_of(server), f"demo_token_{user}", tmp_path, *which)
    assert round_.returncode == 0, round_.stdout[-20_000:] + round_.stderr[-2_000:]
    await server.stop()
