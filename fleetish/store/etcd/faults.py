"""What gRPC and etcd say went wrong, in our errors."""

from __future__ import annotations

import grpc
import grpc.aio

from fleetish.errors import FleetishError, LeaseLost, OutcomeUnknown, Refused, StoreUnavailable
from fleetish.store.base import Compacted

_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_LOGIN = ("invalid auth token", "user name is empty", "revision of auth store is old")
_UNSENT = ("failed to connect to all addresses", "connections to all backends failing")


class Silent(Exception):
    """A member gives no answer that can be used; the next one may."""


def wants_login(error: grpc.aio.AioRpcError) -> bool:
    """True when the token was not taken."""
    return any(text in (error.details() or "") for text in _LOGIN)


def is_unknown(error: grpc.aio.AioRpcError) -> bool:
    """True when a write with this error may have been done all the same."""
    surely = (grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
    if error.code() not in (*_AWAY, *surely):
        return False
    return not any(text in (error.details() or "") for text in _UNSENT)


def said(url: str, error: Exception) -> str:
    """Which member, and what it said."""
    words = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
    return f"{url}: {words or 'it does not answer'}"


def unknown(url: str, error: Exception) -> OutcomeUnknown:
    """The error for a write that was sent and not answered."""
    return OutcomeUnknown(f"cannot tell whether this was written: {said(url, error)}")


def raise_ours(error: grpc.aio.AioRpcError) -> None:
    """Raise what etcd says about the request; return when the member is to blame."""
    text = (error.details() or "").removeprefix("etcdserver: ")
    match error.code():
        case grpc.StatusCode.OUT_OF_RANGE if "compacted" in text:
            raise Compacted(0) from None
        case grpc.StatusCode.NOT_FOUND if "lease" in text:
            raise LeaseLost(f"cannot use this lease: {text}") from None
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise StoreUnavailable(f"cannot write to etcd: {text}") from None
        case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
            hint = "see etcd_user and etcd_password_file"
            raise Refused(f"cannot use etcd: {text}", hint=hint) from None
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.OUT_OF_RANGE:
            raise Refused(f"cannot do this in etcd: {text}") from None
        case grpc.StatusCode.FAILED_PRECONDITION | grpc.StatusCode.UNIMPLEMENTED:
            raise FleetishError(f"cannot do this in etcd: {text}") from None
