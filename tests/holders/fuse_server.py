"""A raw FUSE server of one file, which leaves some questions without an answer.

``fuse_server.py POINT OPERATION...``: those named (LOOKUP, READ, FLUSH, DESTROY) are never
answered, and ``LOOKUP=0.02`` after so many seconds. The first open of the file is cached, every
other is FOPEN_DIRECT_IO. Prints a line once it serves, and one for each question that it will not
answer. With ``POINT=DEVICE`` it is a fuseblk on a block device, which asks its server at the end
(DESTROY).
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Mapping

from umtrace.exercise import syscalls

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, INTERRUPT, DESTROY, BATCH_FORGET = 25, 26, 27, 36, 38, 42
ENOSYS = -38
SIZE = 1 << 20
HEADER = struct.Struct("=IIQQ")
_NO_ANSWER = {FORGET, INTERRUPT, BATCH_FORGET}


def attributes(node: int) -> bytes:
    mode = 0o40755 if node == 1 else 0o100644
    return struct.pack("=QQQQQQIIIIIIIIII", node, SIZE, 2048, *[0] * 6, mode, 1, 0, 0, 0, 4096, 0)


class Server:
    def __init__(self) -> None:
        self.opens = 0

    def answer(self, operation: int, node: int) -> tuple[int, bytes]:
        if operation == INIT:
            return 0, struct.pack(
                "=IIIIHHIIHHI28x", 7, 31, 1 << 16, 0, 16, 12, 1 << 16, 1, 256, 0, 0
            )
        if operation == LOOKUP:
            return 0, struct.pack("=QQQQII", 2, 0, 3600, 3600, 0, 0) + attributes(2)
        if operation == GETATTR:
            return 0, struct.pack("=QII", 3600, 0, 0) + attributes(node)
        if operation == OPEN:
            self.opens += 1
            return 0, struct.pack("=QII", self.opens, 3 if self.opens > 1 else 2, 0)
        if operation == OPENDIR:
            return 0, struct.pack("=QII", 1, 0, 0)
        return (0, b"") if operation == RELEASE else (ENOSYS, b"")

    def serve(self, fuse: int, mute: set[int], late: Mapping[int, float] | None = None) -> None:
        after = late or {}
        while True:
            data = os.read(fuse, SIZE + (1 << 16))
            _, operation, unique, node = HEADER.unpack_from(data)
            if operation in _NO_ANSWER | mute:
                if operation in mute:
                    print("silent", flush=True)  # noqa: T201 - it cannot be taken back any more
                continue
            time.sleep(after.get(operation, 0))
            error, body = self.answer(operation, node)
            os.write(fuse, struct.pack("=IiQ", 16 + len(body), error, unique) + body)


if __name__ == "__main__":
    point, *names = sys.argv[1:]
    channel = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={channel},rootmode=40000,user_id=0,group_id=0,allow_other"
    point, _, device = point.partition("=")
    if device:
        syscalls.mount(device, point, "fuseblk", data=f"{options},blksize=512")
    else:
        syscalls.mount("server", point, "fuse", data=options)
    print("serves", flush=True)  # noqa: T201
    late = {globals()[name]: float(s) for name, _, s in (n.partition("=") for n in names) if s}
    Server().serve(channel, {globals()[n] for n in names if "=" not in n}, late)
