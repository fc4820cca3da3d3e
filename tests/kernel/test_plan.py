"""The probe plan against what every lab kernel offers (tests/kernel/tables), offline.

The goldens are rewritten with UMTRACE_UPDATE_GOLDENS=1; look at them before you commit.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from lab.table import load as lab_table
from umtrace.present.doctor import doctor_text
from umtrace.probes.capabilities import Capabilities, known_symbols
from umtrace.probes.plan import (
    NO_WALKS,
    inlined,
    make_plan,
    needs_switches,
    not_ended_by_work,
    shows_grace_period,
)

HERE = Path(__file__).parent
TABLES = {path.stem: path for path in sorted((HERE / "tables").glob("*.json"))}
PLANS = {"fentry": "fentry", "kprobe": "kprobe", "tracepoint": ""}  # by tier, how it places


def capabilities_of(kernel):
    return Capabilities.from_dict(json.loads(TABLES[kernel].read_text()))


def less(offer, *symbols, plus=()):
    return replace(offer, symbols=offer.symbols - set(symbols) | set(plus))


def probe_of(plan, function):
    return next((p.symbol for p in plan.probes if p.function == function), None)


def reason_of(plan, name):
    return next(line.text for line in plan.lines() if line.meaning == name)


def test_there_is_a_table_for_every_lab_kernel():
    assert set(TABLES) == set(lab_table().kernels)


@pytest.mark.parametrize("kernel", TABLES)
def test_plan_of_each_lab_kernel(kernel):
    offer = capabilities_of(kernel)
    plans = {tier: make_plan(offer, placement) for tier, placement in PLANS.items()}
    plans["fentry --probes light"] = make_plan(offer, "fentry", "light")
    tiers = [
        {
            "tier": tier,
            "works": not p.impossible,
            "reason": p.impossible,
            "plan": [line.to_dict() for line in p.lines()],
        }
        for tier, p in plans.items()
    ]
    text = f"{kernel} ({offer.release})\n\n"
    text += doctor_text({"features": [], "inlined": inlined(offer), "tiers": tiers})
    golden = HERE / "goldens" / f"{kernel}.txt"
    if os.environ.get("UMTRACE_UPDATE_GOLDENS"):
        golden.write_text(text)
    assert text == golden.read_text()
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("kernel", TABLES)
def test_an_offer_survives_json(kernel):
    offer = capabilities_of(kernel)
    assert Capabilities.from_dict(json.loads(json.dumps(offer.to_dict()))) == offer


def test_without_btf_kprobes_give_the_times():
    offer = replace(
        capabilities_of("6.12"), btf_functions=frozenset(), members={}, btf_missing="no BTF"
    )
    assert make_plan(offer, "fentry").impossible
    plan = make_plan(offer, "kprobe")
    assert not plan.impossible
    assert probe_of(plan, "synchronize_rcu_expedited")
    assert probe_of(plan, "__legitimize_mnt") is None
    assert reason_of(plan, "walker") == "lost: n_legitimized, n_discounted (no BTF)"


def test_changed_arguments_are_not_read():
    offer = less(capabilities_of("6.12"), "cleanup_mnt", plus=["cleanup_mnt.isra.0"])
    plan = make_plan(offer, "kprobe")
    assert probe_of(plan, "cleanup_mnt") is None
    assert "changed its arguments" in reason_of(plan, "final put")


def test_changed_arguments_do_not_matter_where_none_is_read():
    offer = less(capabilities_of("6.12"), "namespace_unlock", plus=["namespace_unlock.constprop.0"])
    assert (
        probe_of(make_plan(offer, "kprobe"), "namespace_unlock") == "namespace_unlock.constprop.0"
    )
    assert "BTF does not describe" in make_plan(offer, "fentry").impossible


def test_a_part_alone_means_that_the_head_is_inlined():
    offer = less(capabilities_of("6.12"), "umount_tree", plus=["umount_tree.part.0"])
    assert "the head of the function is inlined" in make_plan(offer, "kprobe").impossible


def test_the_plain_symbol_is_preferred_to_its_parts():
    offer = less(
        capabilities_of("6.12"), plus=["namespace_unlock.part.0", "namespace_unlock.isra.0"]
    )
    assert probe_of(make_plan(offer, "kprobe"), "namespace_unlock") == "namespace_unlock"


def test_what_a_trial_refused_falls_back_or_is_lost():
    offer = less(capabilities_of("7"), plus=["namespace_unlock.isra.0"])
    refused = offer.without("namespace_unlock", "EINVAL").without("mntput", "blacklisted")
    plan = make_plan(refused, "kprobe")
    assert probe_of(plan, "namespace_unlock") == "namespace_unlock.isra.0"
    assert "blacklisted" in reason_of(plan, "walker's put")


def test_puts_are_seen_where_null_does_not_come_by_if_a_kprobe_sees_them():
    meant = {
        kernel: make_plan(capabilities_of(kernel), "kprobe") for kernel in ("5.10", "6.12", "7")
    }
    assert probe_of(meant["5.10"], "mntput_no_expire") == "mntput_no_expire"
    assert probe_of(meant["6.12"], "mntput_no_expire") == "mntput_no_expire"
    assert probe_of(meant["7"], "mntput") == "mntput"
    assert probe_of(make_plan(capabilities_of("6.12"), "fentry"), "mntput") == "mntput"
    refused = make_plan(
        capabilities_of("6.12").without("mntput_no_expire", "blacklisted"), "kprobe"
    )
    assert probe_of(refused, "mntput") == "mntput"


def test_a_missing_function_is_named():
    plan = make_plan(less(capabilities_of("7"), "path_umount"), "kprobe")
    assert "no function path_umount" in plan.impossible


def test_hidden_addresses_leave_it_to_the_trial():
    plan = make_plan(Capabilities(symbols_known=False), "kprobe")
    assert not plan.impossible
    assert inlined(Capabilities(symbols_known=False)) == {}


def test_sides():
    probes = {p.function: p for p in make_plan(capabilities_of("6.12"), "kprobe").probes}
    assert probes["mnt_get_count"].sides(entry_needed=True) == [False, True]
    assert probes["mnt_get_count"].sides(entry_needed=False) == [True]
    assert probes["umount_tree"].sides(entry_needed=True) == [False]


def test_known_symbols_keep_suffixes_but_not_cold():
    names = ["umount_tree", "umount_tree.cold", "umount_tree.isra.0.part.1", "__pfx_umount_tree"]
    assert known_symbols(names) == {"umount_tree", "umount_tree.isra.0.part.1"}


@pytest.mark.parametrize("kernel", TABLES)
@pytest.mark.parametrize("tier", ["fentry", "kprobe"])
def test_no_lab_kernel_needs_a_probe_on_every_system_call(kernel, tier):
    offer = capabilities_of(kernel)
    for probes in ("full", NO_WALKS, "light"):
        plan = make_plan(offer, tier, probes)
        assert probe_of(plan, "__x64_sys_umount")
        assert not_ended_by_work(offer, plan) == ""
        assert needs_switches(offer, plan) == ""
        assert probes == "light" or shows_grace_period(offer, plan)


@pytest.mark.parametrize("kernel", TABLES)
@pytest.mark.parametrize("tier", ["fentry", "kprobe"])
def test_light_probes_nothing_once_per_mount(kernel, tier):
    plan = make_plan(capabilities_of(kernel), tier, "light")
    assert plan.impossible == ""
    assert {probe.function for probe in plan.probes} - {
        "synchronize_rcu_normal",
        "__wait_rcu_gp",
    } == {
        "__x64_sys_umount",
        "__ia32_sys_umount",
        "umount_tree",
        "namespace_unlock",
        "synchronize_rcu_expedited",
        "task_work_run",
        "bd_prepare_to_claim",
    }
    lost = {line.meaning: line.reason for line in plan.lines() if line.state == "lost"}
    assert lost["final put"].endswith("(off with --probes light)")
    assert probe_of(make_plan(capabilities_of(kernel), tier), "task_work_run") is None


def test_arm64_has_a_system_call_of_its_own_name():
    offer = less(capabilities_of("6.12"), "__x64_sys_umount", plus=["__arm64_sys_umount"])
    assert probe_of(make_plan(offer, "kprobe"), "__arm64_sys_umount")


def test_what_a_list_of_work_needs():
    offer = capabilities_of("6.12")
    plan = make_plan(offer, "kprobe")
    blind = replace(offer, members={})
    unprobed = make_plan(less(offer, "cleanup_mnt"), "kprobe")
    assert "task_works" in not_ended_by_work(blind, plan)
    assert "__cleanup_mnt" in not_ended_by_work(less(offer, "__cleanup_mnt"), plan)
    assert "cleanup_mnt is not probed" in not_ended_by_work(offer, unprobed)


def test_a_normal_grace_period_is_told_by_whichever_function_waits():
    old, new = (
        make_plan(capabilities_of("5.10"), "kprobe"),
        make_plan(capabilities_of("6.12"), "kprobe"),
    )
    assert probe_of(old, "__wait_rcu_gp")
    assert probe_of(new, "synchronize_rcu_normal")


def test_a_refused_funnel_leaves_it_to_the_stacks():
    offer = capabilities_of("6.12").without("exp_funnel_lock", "EINVAL")
    assert not shows_grace_period(offer, make_plan(offer, "kprobe"))


def test_where_fentry_programs_can_be_preempted_all_but_a_hot_return_are_kprobes():
    offer = replace(capabilities_of("6.12"), preemptible=True)
    plan = make_plan(offer, "fentry")
    assert {p.function for p in plan.probes if p.how == "fentry"} == {"__legitimize_mnt"}
    (why,) = [line.why for line in plan.lines() if line.probe == "mntput_no_expire"]
    assert "preempt a fentry program" in why
    offer = replace(offer, preemptible=False)
    assert {p.how for p in make_plan(offer, "fentry").probes} == {"fentry"}
