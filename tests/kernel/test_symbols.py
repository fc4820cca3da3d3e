from __future__ import annotations

from umtrace.kernel.symbols import Symbols

KALLSYMS = """\
ffffffff81000300 T do_exit
ffffffff81000100 t namespace_unlock
ffffffff81000200 D some_data
ffffffff81000100 t namespace_unlock_alias
ffffffff81000280 t put_mnt_ns\t[module]
"""


def load(tmp_path, text):
    (tmp_path / "kallsyms").write_text(text)
    return Symbols.load(tmp_path / "kallsyms")


def test_span_ends_at_the_next_function(tmp_path):
    symbols = load(tmp_path, KALLSYMS)
    assert symbols.known
    assert symbols.span("namespace_unlock") == (0xFFFFFFFF81000100, 0xFFFFFFFF81000280)
    assert symbols.span("some_data") is None


def test_name_at(tmp_path):
    symbols = load(tmp_path, KALLSYMS)
    assert symbols.name_at(0xFFFFFFFF81000290) == "put_mnt_ns"
    assert symbols.name_at(0x1000) == "?"


def test_hidden_addresses_are_unknown_not_zero(tmp_path):
    hidden = KALLSYMS.replace("ffffffff81000", "0000000000000")
    hidden = "\n".join("0" * 16 + line[16:] for line in hidden.splitlines())
    assert not load(tmp_path, hidden).known


def test_no_file(tmp_path):
    assert not Symbols.load(tmp_path / "nothing").known
