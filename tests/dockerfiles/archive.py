"""Makes the archives that cases of ADD unpack: the same bytes everywhere, and things that git cannot hold."""

import bz2
import gzip
import io
import lzma
import tarfile

MTIME = 915148800  # 1999-01-01T00:00:00Z
KINDS = {
    "d": tarfile.DIRTYPE,
    "f": tarfile.REGTYPE,
    "l": tarfile.SYMTYPE,
    "h": tarfile.LNKTYPE,
    "p": tarfile.FIFOTYPE,
    "c": tarfile.CHRTYPE,
    "b": tarfile.BLKTYPE,
}
# CAP_NET_BIND_SERVICE, permitted and effective.
CAPABILITY = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"


def tar(*lines: str, xattrs: dict[str, dict[str, str]] | None = None) -> bytes:
    """An archive of these members, each `KIND MODE UID:GID NAME [CONTENT, TARGET or MAJOR,MINOR]`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for line in lines:
            info, content = member(line)
            attributes = (xattrs or {}).get(info.name, {})
            info.pax_headers = {f"SCHILY.xattr.{name}": value for name, value in attributes.items()}
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def member(line: str) -> tuple[tarfile.TarInfo, bytes]:
    kind, mode, owner, name, *rest = line.split(" ", 4)
    rest = rest[0] if rest else ""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = KINDS[kind], int(mode, 8), MTIME
    info.uid, info.gid = map(int, owner.split(":"))
    if kind in "lh":
        info.linkname = rest
    if kind in "cb":
        info.devmajor, info.devminor = map(int, rest.split(","))
    content = rest.encode() + b"\n" if kind == "f" else b""
    info.size = len(content)
    return info, content


def gz(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def bz(content: bytes) -> bytes:
    return bz2.compress(content)


def xz(content: bytes) -> bytes:
    return lzma.compress(content)


def zst(content: bytes) -> bytes:
    """A zstd frame of one raw block: Python 3.11 has no zstd, and a test need not compress (RFC 8878, 3.1.1)."""
    if len(content) >= 1 << 17:
        raise ValueError("one block holds at most 128 KiB")
    single_segment_with_four_byte_size = b"\xa0"
    last_raw_block = (1 | len(content) << 3).to_bytes(3, "little")
    magic = b"\x28\xb5\x2f\xfd"
    return magic + single_segment_with_four_byte_size + len(content).to_bytes(4, "little") + last_raw_block + content


def write(name: str, content: bytes) -> None:
    with open(name, "wb") as file:
        file.write(content)
