"""Struct layouts of the running kernel, from its own BTF through libbpf.

libbpf comes with bcc and parses the kernel's type information in some 10 ms. With it, umtrace needs
no header package and no hard-coded offsets.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int32, c_uint32, c_void_p
from functools import cached_property
from pathlib import Path

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_STRUCT, _UNION, _FUNC = 4, 5, 12
_MODIFIERS = {8, 9, 10, 11, 18}  # typedef, volatile, const, restrict, type tag
_LIBRARIES = ("libbpf.so.1", "libbpf.so.0", "libbcc.so.0")


class _Type(Structure):
    _fields_ = (("name_off", c_uint32), ("info", c_uint32), ("type", c_uint32))


class _Member(Structure):
    _fields_ = (("name_off", c_uint32), ("type", c_uint32), ("offset", c_uint32))


class BtfUnavailableError(Exception):
    """The kernel has no readable BTF, or libbpf is missing; str() has the reason."""


class Btf:
    """The type information of one kernel.

    Parameters
    ----------
    path : Path
        Raw BTF or an ELF file that holds it; the running kernel's by default.
    """

    def __init__(self, path: Path = VMLINUX) -> None:
        self._path = path
        self._ids: dict[tuple[str, int], int] = {}
        self._offsets: dict[str, int | None] = {}
        self._handle = self._parse()

    @cached_property
    def _lib(self) -> ctypes.CDLL:
        for name in _LIBRARIES:
            try:
                lib = ctypes.CDLL(name)
                lib.btf__parse.restype = c_void_p
            except (OSError, AttributeError):
                continue
            lib.btf__parse.argtypes = [c_char_p, c_void_p]
            lib.btf__free.argtypes = [c_void_p]
            lib.btf__free.restype = None
            lib.btf__find_by_name_kind.argtypes = [c_void_p, c_char_p, c_uint32]
            lib.btf__find_by_name_kind.restype = c_int32
            lib.btf__type_by_id.argtypes = [c_void_p, c_uint32]
            lib.btf__type_by_id.restype = c_void_p
            lib.btf__name_by_offset.argtypes = [c_void_p, c_uint32]
            lib.btf__name_by_offset.restype = c_char_p
            lib.libbpf_get_error.argtypes = [c_void_p]
            lib.libbpf_get_error.restype = ctypes.c_long
            return lib
        raise BtfUnavailableError("libbpf is not installed")

    def _parse(self) -> int:
        if not self._path.exists():
            raise BtfUnavailableError(f"{self._path} does not exist (CONFIG_DEBUG_INFO_BTF)")
        handle = self._lib.btf__parse(str(self._path).encode(), None)
        if not handle or self._lib.libbpf_get_error(handle):
            raise BtfUnavailableError(f"{self._path} cannot be parsed")
        return int(handle)

    def close(self) -> None:
        """Free the parsed types; may be called twice."""
        if self._handle:
            self._lib.btf__free(self._handle)
            self._handle = 0

    def __enter__(self) -> Btf:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def offset(self, path: str) -> int | None:
        """Return the byte offset of ``struct.member[.member…]``, or None if absent.

        Members of anonymous structs and unions are found as in C.
        """
        bits = self.bit_offset(path)
        return None if bits is None else bits // 8

    def bit_offset(self, path: str) -> int | None:
        """Return the offset in bits, which a bit-field needs, since it may not begin at a byte."""
        if path not in self._offsets:
            self._offsets[path] = self._bits(path)
        return self._offsets[path]

    def _bits(self, path: str) -> int | None:
        struct, *members = path.split(".")
        type_id = self.struct_id(struct)
        total = 0
        for member in members:
            found = self._member(type_id, member) if type_id else None
            if found is None:
                return None
            total += found[0]
            type_id = found[1]
        return total

    def first_offset(self, *paths: str) -> int | None:
        """Return the offset of the first path that this kernel has."""
        return next((o for p in paths if (o := self.offset(p)) is not None), None)

    def function_id(self, name: str) -> int:
        """Return the type id of a function (kind FUNC), 0 if BTF has none of that name."""
        return self._id(name, _FUNC)

    def struct_id(self, name: str) -> int:
        """Return the type id of a struct, 0 if BTF has none of that name."""
        return self._id(name, _STRUCT)

    def function_exists(self, name: str) -> bool:
        """Whether BTF describes a function of that name."""
        return self.function_id(name) > 0

    def function_arguments(self, name: str) -> int | None:
        """Return how many arguments a function takes; None if BTF does not describe it."""
        found = self.function_id(name)
        if not found:
            return None
        prototype = self._type(int(self._type(found)[0].type))[0]
        return int(prototype.info) & 0xFFFF

    def _id(self, name: str, kind: int) -> int:
        """Return a type's id, 0 if absent; libbpf compares all 150,000 types for it."""
        if (name, kind) not in self._ids:
            found = self._lib.btf__find_by_name_kind(self._handle, name.encode(), kind)
            self._ids[name, kind] = max(0, int(found))
        return self._ids[name, kind]

    def _type(self, type_id: int) -> tuple[_Type, int]:
        address = self._lib.btf__type_by_id(self._handle, type_id)
        return ctypes.cast(c_void_p(address), POINTER(_Type)).contents, int(address)

    def _resolve(self, type_id: int) -> int:
        kind = self._type(type_id)[0]
        while (kind.info >> 24) & 0x1F in _MODIFIERS:
            type_id = int(kind.type)
            kind = self._type(type_id)[0]
        return type_id

    def _members(self, type_id: int) -> list[_Member]:
        head, address = self._type(type_id)
        if (head.info >> 24) & 0x1F not in (_STRUCT, _UNION):
            return []
        count = head.info & 0xFFFF
        array = ctypes.cast(c_void_p(address + ctypes.sizeof(_Type)), POINTER(_Member * count))
        return list(array.contents)

    def _member(self, type_id: int, name: str) -> tuple[int, int] | None:
        bitfields = bool(self._type(type_id)[0].info >> 31)
        for member in self._members(type_id):
            bits = member.offset & 0xFFFFFF if bitfields else member.offset
            inner_id = self._resolve(member.type)
            label = self._lib.btf__name_by_offset(self._handle, member.name_off)
            if label == name.encode():
                return bits, inner_id
            inner = None if label else self._member(inner_id, name)
            if inner is not None:
                return bits + inner[0], inner[1]
        return None
