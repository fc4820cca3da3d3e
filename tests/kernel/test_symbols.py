from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umtrace.kernel import symbols as module
from umtrace.kernel.symbols import Symbols

# In order of address, as the kernel keeps its own; then the modules.
KALLSYMS = """\
0000000000000000 D __per_cpu_start
ffffffff81000000 t do_umount
ffffffff81000100 t namespace_unlock
ffffffff81000100 t namespace_unlock_alias
ffffffff81000200 D some_data
ffffffff81000208 b unmounted
ffffffff81000210 D __per_cpu_offset
ffffffff81000218 d __per_cpu_offset
ffffffff81000280 t put_mnt_ns.isra.0
ffffffff81000280 t put_mnt_ns_alias
ffffffff81000300 T do_exit
ffffffffc0000100 t namespace_unlock\t[module]
ffffffffc0000200 t of_a_module\t[module]
"""


def load(tmp_path, text, wanted=None):
    (tmp_path / "kallsyms").write_text(text)
    return Symbols.load(tmp_path / "kallsyms", wanted)


@pytest.mark.parametrize("wanted", [None, {b"namespace_unlock", b"put_mnt_ns"}])
@pytest.mark.parametrize("block", [1 << 18, 7, 100])
def test_span_ends_at_the_next_function(tmp_path, monkeypatch, wanted, block):
    monkeypatch.setattr(module, "_BLOCK_BYTES", block)
    symbols = load(tmp_path, KALLSYMS, wanted)
    assert symbols.known
    assert symbols.span("namespace_unlock") == (0xFFFFFFFF81000100, 0xFFFFFFFF81000280)
    assert symbols.span("put_mnt_ns.isra.0") == (0xFFFFFFFF81000280, 0xFFFFFFFF81000300)
    assert symbols.span("some_data") is None
    assert symbols.data_address("unmounted") == 0xFFFFFFFF81000208
    assert symbols.data_address("__per_cpu_offset") is None  # which of the two?


def test_only_what_is_wanted_is_kept(tmp_path):
    wanted = {b"namespace_unlock", b"put_mnt_ns"}
    names = ["namespace_unlock", "?", "put_mnt_ns.isra.0", "?"]
    assert load(tmp_path, KALLSYMS, wanted).names == names[:1] + names[2:]
    between = KALLSYMS.replace("D some_data", "t some_function")
    assert load(tmp_path, between, wanted).names == names


def test_modules_are_not_the_kernel(tmp_path):
    symbols = load(tmp_path, KALLSYMS)
    assert symbols.names.count("namespace_unlock") == 1
    assert "of_a_module" not in symbols.names


def test_name_at(tmp_path):
    symbols = load(tmp_path, KALLSYMS)
    assert symbols.name_at(0xFFFFFFFF81000310) == "do_exit"
    assert symbols.name_at(0x1000) == "?"
    few = load(tmp_path, KALLSYMS, {b"do_umount", b"put_mnt_ns"})
    assert few.name_at(0xFFFFFFFF81000010) == "do_umount"
    assert few.name_at(0xFFFFFFFF81000110) == "?"
    assert few.name_at(0xFFFFFFFF81000310) == "?"


def test_hidden_addresses_are_unknown_not_zero(tmp_path):
    hidden = "\n".join("0" * 16 + line[16:] for line in KALLSYMS.splitlines()) + "\n"
    assert not load(tmp_path, hidden).known
    assert load(tmp_path, hidden).data_address("unmounted") is None


def test_no_file(tmp_path):
    assert not Symbols.load(tmp_path / "nothing").known


@pytest.mark.parametrize("block", [1 << 18, 64])
def test_two_wanted_names_of_one_function(tmp_path, monkeypatch, block):
    monkeypatch.setattr(module, "_BLOCK_BYTES", block)
    symbols = load(tmp_path, KALLSYMS, {b"namespace_unlock", b"namespace_unlock_alias"})
    assert symbols.names == ["namespace_unlock", "namespace_unlock_alias", "?"]
    for name in symbols.names[:2]:
        assert symbols.span(name) == (0xFFFFFFFF81000100, 0xFFFFFFFF81000280)


LINES = st.lists(
    st.tuples(
        st.integers(0, 3),  # how far from the one before
        st.sampled_from("tTdDbBrRaA"),
        st.sampled_from(
            ["do", "do.isra.0", "do.part.1.cold", "undo", "un.do", "other", "unmounted"]
        ),
    ),
    min_size=1,
    max_size=30,
)


@given(LINES, st.integers(30, 200))
def test_a_few_are_found_as_in_the_whole_table(tmp_path_factory, lines, block):
    wanted = {b"do", b"undo"}
    at, text = 0xFFFFFFFF81000000, ""
    for apart, kind, name in lines:
        at += apart
        text += f"{at:016x} {kind} {name}\n"
    path = tmp_path_factory.mktemp("kernel")
    whole = load(path, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_BYTES", block)
        few = load(path, text, wanted)
    mine, found = (
        [name for name in table.names if name.partition(".")[0].encode() in wanted]
        for table in (whole, few)
    )
    assert found == mine
    assert [few.span(name) for name in mine] == [whole.span(name) for name in mine]
    if mine:  # else nothing is known to be hidden or not
        assert few.data_address("unmounted") == whole.data_address("unmounted")


@pytest.mark.parametrize("wanted", [None, {b"namespace_unlock"}])
def test_a_variable_may_be_in_a_section_of_text(tmp_path, wanted):
    odd = KALLSYMS.replace("b unmounted", "t unmounted")
    assert load(tmp_path, odd, wanted).data_address("unmounted") == 0xFFFFFFFF81000208
