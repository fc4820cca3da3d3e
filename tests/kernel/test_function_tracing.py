"""The switch of the function tracer: read, and what is said where it is off."""

from __future__ import annotations

import pytest

from umtrace import diagnosis
from umtrace.kernel import function_tracing
from umtrace.model.errors import NoTierError
from umtrace.model.tiers import TIERS
from umtrace.sources.bpf.source import BpfSource


@pytest.fixture
def switch(tmp_path, monkeypatch):
    """The switch, and the options that a kernel was built without."""
    file, off = tmp_path / "ftrace_enabled", []
    monkeypatch.setattr(function_tracing, "_SWITCH", file)
    monkeypatch.setattr(function_tracing, "options_off", lambda wanted: [*{*wanted} & {*off}])
    return file, off


@pytest.mark.parametrize(("text", "off"), [("0\n", True), ("1\n", False), (None, False)])
def test_it_is_off_only_where_the_kernel_says_so(switch, text, off):
    if text is not None:
        switch[0].write_text(text)
    assert [function_tracing.switched_off(kind) for kind in ("fentry", "kprobe", "")] == [
        off, off, False,
    ]  # fmt: skip


def test_kprobes_need_it_only_where_they_stand_on_the_tracer(switch):
    file, off = switch
    file.write_text("0\n")
    off.append("CONFIG_KPROBES_ON_FTRACE")
    assert function_tracing.switched_off("fentry")
    assert not function_tracing.switched_off("kprobe")


def test_tiers_with_probes_at_functions_are_refused_with_what_mends_it(switch, monkeypatch):
    switch[0].write_text("0\n")
    monkeypatch.setattr("umtrace.sources.bpf.source.require_root", lambda: None)
    for tier in TIERS:
        if tier.placement and tier.name != "ftrace":
            with pytest.raises(NoTierError, match=r"kernel\.ftrace_enabled is 0"):
                BpfSource(tier.name).open()
        fix = diagnosis._remedy(tier.name, NoTierError.exit_code)
        assert (fix == function_tracing.REMEDY) == bool(tier.placement)
