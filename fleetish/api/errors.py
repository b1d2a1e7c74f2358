"""Every error as one shape of answer: ``{"error":{"code":…, "message":…, "hint":…}}``.

Code and status come from the table in :mod:`fleetish.wire`, which the client reads the other way.
"""

from __future__ import annotations

import logging

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fleetish.errors import FleetishError
from fleetish.wire_faults import Fault, FaultBody, Invalid, Missing, row_for

log = logging.getLogger(__name__)

#: Codes of answers that HTTP itself gives.
HTTP_CODES = {
    404: "no-such-path",
    405: "no-such-method",
    413: "too-large",
    415: "not-json",
}


def fault_response(status: int, fault: Fault, headers: dict[str, str] | None = None) -> Response:
    """An error as an answer; 503 says when to come back."""
    extra = {"Retry-After": "1"} if status == 503 else {}
    return Response(
        msgspec.json.encode(FaultBody(error=fault)),
        status,
        headers={**extra, **(headers or {})},
        media_type="application/json",
    )


async def ours(_: Request, error: Exception) -> Response:
    """An error that was raised on purpose."""
    assert isinstance(error, FleetishError)
    row = row_for(error)
    fault = Fault(
        code=row.code,
        message=error.message,
        hint=error.hint,
        problems=error.problems if isinstance(error, Invalid) else (),
        missing=error.names if isinstance(error, Missing) else (),
    )
    return fault_response(row.status, fault)


async def http(_: Request, error: Exception) -> Response:
    """A path, method, size or type that HTTP refuses."""
    assert isinstance(error, HTTPException)
    code = HTTP_CODES.get(error.status_code, "http")
    headers = dict(error.headers or {})
    fault = Fault(code=code, message=f"cannot do this: {error.detail}")
    return fault_response(error.status_code, fault, headers)


async def surprise(request: Request, error: Exception) -> Response:
    """A fault of ours: logged with its trace, told without."""
    log.error("cannot answer %s %s", request.method, request.url.path, exc_info=error)
    fault = Fault(code="fault", message="cannot answer: a fault in fleetish", hint="see its log")
    return fault_response(500, fault)
