"""Archives as people and attackers make them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

Row = tuple[str, dict[str, Any]]


def tar(path: Path, *rows: Row, mode: str = "w") -> Path:
    """A tar of these members: a name, and its header's fields; ``text`` is its content."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, fields in rows:
            info = tarfile.TarInfo(name)
            content = fields.get("text", "").encode()
            info.size = len(content)
            for key, value in fields.items():
                if key != "text":
                    setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, *rows: Row) -> Path:
    """A zip of these members; ``mode`` is that of Unix, type bits included."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, fields in rows:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = fields.get("mode", 0o100644) << 16 | 0x20
            archive.writestr(info, fields.get("text", ""))
    return path


def link(name: str, target: str) -> Row:
    return name, {"type": tarfile.SYMTYPE, "linkname": target}


def hard(name: str, target: str) -> Row:
    return name, {"type": tarfile.LNKTYPE, "linkname": target}


def file(name: str, text: str = "x", **fields: Any) -> Row:
    return name, {"text": text, **fields}


def folder(name: str, **fields: Any) -> Row:
    return name, {"type": tarfile.DIRTYPE, "mode": 0o755, **fields}
