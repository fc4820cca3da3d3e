"""Pages to records: gaps, stacks, and only the tasks that are wanted."""

from __future__ import annotations

from bench.captures import PAGE
from tests.sources.ftrace.builders import head, page
from umtrace.kernel.symbols import Symbols
from umtrace.model.events import OnStack
from umtrace.probes.frames import FrameTable
from umtrace.sources.ftrace.formats import parse_format
from umtrace.sources.ftrace.records import LOST, STACK, Decoder

COMMON = """ID: {id}
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

"""
STACKS = parse_format(STACK, COMMON.format(id=4) + """\
	field:int size;	offset:8;	size:4;	signed:1;
	field:unsigned long caller[8];	offset:16;	size:64;	signed:0;
""")  # fmt: skip
SWITCH = parse_format("sched_switch", COMMON.format(id=9) + """\
	field:pid_t next_pid;	offset:8;	size:4;	signed:1;
""")  # fmt: skip
CALL = parse_format("sys_enter", COMMON.format(id=11))
UNLOCK, RCU, OTHER = 0xFFFFFFFF81000000, 0xFFFFFFFF81000100, 0xFFFFFFFF81000200
FRAMES = FrameTable(
    Symbols([UNLOCK, RCU, OTHER], ["namespace_unlock", "synchronize_rcu_expedited", "schedule"])
)


def stack(tid, *addresses, delta=1):
    words = [4, tid, len(addresses), 0]
    for address in addresses:
        words += [address & 0xFFFFFFFF, address >> 32]
    return [head(len(words), delta), *words]


def test_a_stack_becomes_the_set_of_what_lies_on_it():
    words = [*stack(7, OTHER + 9, RCU + 5, UNLOCK + 80), *stack(8, OTHER), *stack(9, UNLOCK)]
    found = Decoder([STACKS], PAGE, FRAMES).decode([page(100, *words)], [1])
    seen = [(r.ts_ns, r.tid, r.cpu, r.name, r.fields["on_stack"]) for r in found]
    both = int(OnStack.UNLOCK | OnStack.RCU)
    assert seen == [(101, 7, 1, STACK, both), (103, 9, 1, STACK, int(OnStack.UNLOCK))]


def test_a_deeper_stack_than_its_format_says_is_read_whole():
    words = stack(7, *[OTHER] * 25, RCU, UNLOCK)
    (found,) = Decoder([STACKS], PAGE, FRAMES).decode([page(100, *words)], [0])
    assert found.fields["on_stack"] == int(OnStack.UNLOCK | OnStack.RCU)


def test_frames_behind_the_end_of_a_stack_are_not_its_own():
    words = [*stack(7, OTHER), *stack(8, RCU, UNLOCK)]
    found = Decoder([STACKS], PAGE, FRAMES).decode([page(100, *words)], [0])
    assert [r.tid for r in found] == [8]


def test_only_the_wanted_tasks_become_records():
    words = [head(3, 1), 9, 50, 7, head(3, 1), 9, 7, 50, head(2, 1), 11, 7, head(2, 1), 11, 50]
    wanted = {"next_pid": {7}, "common_pid": {7}}
    found = Decoder([SWITCH, CALL], PAGE).decode([page(0, *words)], [0], wanted)
    assert [(r.name, r.tid, r.fields.get("next_pid")) for r in found] == [
        ("sched_switch", 50, 7),
        ("sys_enter", 7, None),
    ]


def test_a_gap_reaches_from_the_last_record_of_its_cpu_to_the_page():
    decoder = Decoder([CALL], PAGE)
    call = [head(2, 5), 11, 7]
    decoder.decode([page(100, *call), page(900, *call)], [0, 1])
    found = decoder.decode([page(400, *call, missed=True)], [0])
    assert [(r.name, r.ts_ns, r.cpu, r.fields) for r in found if r.name == LOST] == [
        (LOST, 106, 0, {"until": 400})
    ]


def test_a_gap_before_the_first_record_reaches_from_the_beginning():
    (lost, _call) = Decoder([CALL], PAGE).decode([page(400, head(2, 5), 11, 7, missed=True)], [0])
    assert (lost.name, lost.ts_ns, lost.fields["until"]) == (LOST, 1, 400)
