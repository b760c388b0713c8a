"""The protocol between primary and replicas. It belongs to this demo.

Over a stream socket. A message is a u32 length of what follows, one byte for
its kind, and its fields; all integers are little-endian.

From a replica:

    H hello     u64 LSN and u64 term of the last record that it has, 0 and 0
                where it has none; its name, to the end
    A ack       u64 written, u64 durable, u64 applied; no answer
    P pull      u32 at most so many records

From the primary:

    G go on     answers H. u64 LSN: what follows it is there to be pulled
    S snapshot  answers H. u64 LSN that it has everything up to, then a SQLite
                database; the replica loads it and acknowledges that LSN
    R records   answers P, as soon as there is one. For each of them u64 term,
                u64 LSN, u64 milliseconds since 1970, u32 length, payload
    E end       answers P. The primary closes; the replica has all there is

A record is one transaction of the source. Its payload is a JSON array of
changes in their order:

    {"schema": "CREATE TABLE ..."}
    {"table": name, "delete": [primary key ...], "insert": [row ...]}

An update has both `delete` and `insert`. An integer, a text and NULL are JSON's
own; {"blob": "00ff"} is a blob, and {"real": "0x1.8p+1"} a real, in C's format %a
because that is exact.
"""

import socket
import struct
from collections.abc import Iterable, Iterator

import epochwal

HELLO, ACK, PULL = b"H", b"A", b"P"
GO_ON, SNAPSHOT, RECORDS, END = b"G", b"S", b"R", b"E"

_RECORD = struct.Struct("<QQQI")


class Gone(ConnectionError):
    """The other side has closed the connection, or has died."""


def send(to: socket.socket, kind: bytes, body: bytes = b"") -> None:
    """Sends one message."""
    to.sendall(struct.pack("<I", 1 + len(body)) + kind + body)


def receive(of: socket.socket) -> tuple[bytes, bytes]:
    """The next message: its kind and its fields."""
    (length,) = struct.unpack("<I", _exactly(of, 4))
    message = _exactly(of, length)
    return message[:1], message[1:]


def _exactly(of: socket.socket, length: int) -> bytes:
    read = bytearray()
    while len(read) < length:
        piece = of.recv(min(length - len(read), 1 << 20))
        if not piece:
            raise Gone("the other side is gone")
        read += piece
    return bytes(read)


def pack_records(records: Iterable[epochwal.SpoolRecord]) -> bytes:
    """The fields of R."""
    packed = bytearray()
    for r in records:
        packed += _RECORD.pack(r.term, r.lsn, r.timestamp_ms, len(r.payload)) + r.payload
    return bytes(packed)


def unpack_records(body: bytes) -> Iterator[epochwal.SpoolRecord]:
    """The records of R."""
    at = 0
    while at < len(body):
        term, lsn, timestamp_ms, length = _RECORD.unpack_from(body, at)
        at += _RECORD.size
        yield epochwal.SpoolRecord(term, lsn, body[at : at + length], timestamp_ms)
        at += length
