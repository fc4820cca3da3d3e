"""``nfs_server PORT``: an NFSv3 server with one directory and one file in it, for hangs.

It serves MOUNT, too, so that the kernel mounts it without a portmapper. What is written is dropped.
SIGSTOP makes it a server that does not answer, SIGCONT one that answers again.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading

ROOT, FILE, SIZE = 1, 2, 1 << 20
_ABSENT = 2  # NFS3ERR_NOENT
_NOT_THERE = 10004  # NFS3ERR_NOTSUPP
_VERIFIER = bytes(8)


def words(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def attributes(node: int) -> bytes:
    """fattr3: a directory, or a file that everybody may write."""
    kind, mode, size = (2, 0o777, 4096) if node == ROOT else (1, 0o666, SIZE)
    head = words(kind, mode, 2, 0, 0) + struct.pack(">QQ", size, size)
    return head + words(0, 0) + struct.pack(">QQ", 7, node) + words(1, 0) * 3


def after(node: int) -> bytes:
    """post_op_attr"""
    return words(1) + attributes(node)


def opaque(data: bytes) -> bytes:
    return words(len(data)) + data + bytes(-len(data) % 4)


def handle(node: int) -> bytes:
    return opaque(struct.pack(">Q", node))


class Arguments:
    """The rest of a call."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def word(self) -> int:
        (number,), self.data = struct.unpack(">I", self.data[:4]), self.data[4:]
        return int(number)

    def opaque(self) -> bytes:
        n = self.word()
        found, self.data = self.data[:n], self.data[n + -n % 4 :]
        return found

    def node(self) -> int:
        return int(struct.unpack(">Q", self.opaque())[0])


def mount(procedure: int) -> bytes:
    return words(0) + handle(ROOT) + words(1, 1) if procedure == 1 else b""


def nfs(procedure: int, call: Arguments) -> bytes:
    """Return the result of a procedure of NFSv3."""
    if procedure == 0:
        return b""
    node = call.node()
    if procedure == 1:  # GETATTR
        return words(0) + attributes(node)
    if procedure == 3:  # LOOKUP
        if call.opaque() != b"file":
            return words(_ABSENT) + after(node)
        return words(0) + handle(FILE) + after(FILE) + after(node)
    if procedure == 4:  # ACCESS
        return words(0) + after(node) + words(call.word())
    if procedure == 6:  # READ
        _, _, count = call.word(), call.word(), call.word()
        return words(0) + after(node) + words(count, 1) + opaque(bytes(count))
    if procedure == 7:  # WRITE, as if it were on a disk
        _, _, count = call.word(), call.word(), call.word()
        return words(0, 0) + after(node) + words(count, 2) + _VERIFIER
    return _of_the_whole(procedure, node)


def _of_the_whole(procedure: int, node: int) -> bytes:
    if procedure == 2:  # SETATTR
        return words(0, 0) + after(node)
    if procedure == 18:  # FSSTAT
        return words(0) + after(node) + bytes(48) + words(0)
    if procedure == 19:  # FSINFO
        sizes = (65536, 65536, 4096, 65536, 65536, 4096, 4096)
        return words(0) + after(node) + words(*sizes) + struct.pack(">Q", 1 << 40) + words(0, 1, 0)
    if procedure == 20:  # PATHCONF
        return words(0) + after(node) + words(8, 255, 1, 1, 0, 1)
    if procedure == 21:  # COMMIT
        return words(0, 0) + after(node) + _VERIFIER
    return words(_NOT_THERE, 0)


def reply(data: bytes) -> bytes:
    call = Arguments(data)
    xid, _, _, program, _, procedure = (call.word() for _ in range(6))
    for _ in range(2):  # credentials and verifier
        call.word()
        call.opaque()
    result = mount(procedure) if program == 100005 else nfs(procedure, call)
    return words(xid, 1, 0, 0, 0, 0) + result


def serve(connection: socket.socket) -> None:
    stream = connection.makefile("rb")
    while head := stream.read(4):
        (mark,) = struct.unpack(">I", head)
        answer = reply(stream.read(mark & 0x7FFFFFFF))
        connection.sendall(words(1 << 31 | len(answer)) + answer)


def main() -> None:
    listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print("serves", flush=True)  # noqa: T201
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
