"""Which symbol each event sits on, on every kernel of the lab, offline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from umtrace.kernel.symbols import Symbols
from umtrace.probes.capabilities import Capabilities
from umtrace.probes.plan import make_plan
from umtrace.sources.ftrace.events import events
from umtrace.sources.ftrace.placing import place

TABLES = sorted((Path(__file__).parents[2] / "kernel/tables").glob("*.json"))
LAYOUT = {
    name: number
    for number, name in enumerate(
        ["UM_OFF_MOUNT_MNT", "UM_OFF_MOUNT_NS", "UM_OFF_MOUNT_ID", "UM_OFF_MOUNT_DEVNAME",
         "UM_OFF_VFSMOUNT_SB", "UM_OFF_VFSMOUNT_FLAGS", "UM_OFF_SB_DEV", "UM_OFF_SB_TYPE",
         "UM_OFF_SB_ACTIVE", "UM_OFF_FSTYPE_NAME", "UM_OFF_PATH_MNT", "UM_OFF_MNT_NS_INUM"]
    )
}  # fmt: skip
#: functions of which the plan knows nothing, and which of the tables' kernels has them
OTHERS = ("__x64_sys_umount", "change_mnt_propagation", "shrink_dentry_list")


def placed(offer, layout=LAYOUT, probes="full", plus=()):
    names = sorted({*offer.symbols, *OTHERS, *plus})
    symbols = Symbols(list(range(1, len(names) + 1)), names)
    plan = make_plan(offer, "kprobe", probes)
    wanted = events(layout, walkers=probes == "full")
    return {one.event.name: one for one in place(wanted, plan, symbols)}


def capabilities_of(path):
    return Capabilities.from_dict(json.loads(path.read_text()))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_lab_kernel_has_what_is_required(path):
    found = placed(capabilities_of(path))
    missing = {name for name, one in found.items() if one.objection}
    assert not {name for name in missing if found[name].event.required}
    assert missing <= {
        "um_joined",
        *(f"um_normal{n}{side}" for n in (0, 1) for side in ("", "_exit")),
    }
    for name, one in found.items():
        assert one.event.symbol in ("", one.event.function), name


def renamed(offer, function, symbol):
    return replace(offer, symbols=offer.symbols - {function} | {symbol})


def test_a_suffixed_symbol_carries_events_that_read_no_arguments():
    offer = renamed(capabilities_of(TABLES[0]), "namespace_unlock", "namespace_unlock.isra.0")
    found = placed(offer)
    for name in ("um_unlock", "um_unlock_exit"):
        assert found[name].event.symbol == "namespace_unlock.isra.0"
        assert " namespace_unlock.isra.0" in found[name].event.definition("g")
        assert "." not in found[name].event.definition("g").split(" ")[0]


def test_a_suffixed_symbol_carries_none_that_read_them():
    offer = renamed(capabilities_of(TABLES[0]), "cleanup_mnt", "cleanup_mnt.isra.0")
    found = placed(offer)
    assert "the compiler changed its arguments" in found["um_cleanup"].objection
    assert found["um_cleanup_exit"].objection  # as the plan decided for both


def test_functions_outside_the_plan_are_looked_for_as_well():
    offer = capabilities_of(TABLES[0])
    offer = replace(
        offer, symbols=offer.symbols | {"exp_funnel_lock.constprop.0"} - {"exp_funnel_lock"}
    )
    assert placed(offer)["um_joined"].event.symbol == "exp_funnel_lock.constprop.0"


def test_hidden_addresses_leave_it_to_the_trial():
    offer = replace(capabilities_of(TABLES[0]), symbols=frozenset(), symbols_known=False)
    plan = make_plan(offer, "kprobe")
    found = list(place(events(LAYOUT, walkers=True), plan, Symbols([], [])))
    assert not [one for one in found if one.objection]
    assert {one.event.symbol for one in found} == {one.event.function for one in found}


def test_light_leaves_path_walks_alone():
    assert not [
        name
        for name in placed(capabilities_of(TABLES[0]), probes="light")
        if name in ("um_walk", "um_put")
    ]


def test_without_btf_nothing_is_fetched_from_a_mount():
    offer = replace(capabilities_of(TABLES[0]), members={}, btf_missing="no BTF")
    found = placed(offer, layout={"UM_OFF_MNT_NS_INUM": 0})
    assert not [one for one in found.values() if one.objection and one.event.required]
    assert not [arg for one in found.values() for arg in one.event.args if arg.startswith("id=")]
