"""What the ftrace tier's reader costs: records per CPU second, binary beside text.

.venv/bin/python -m bench.ftrace
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.captures import FIXTURES, capture
from umtrace.model.events import Origin
from umtrace.sources.ftrace.task_tracker import TaskTracker
from umtrace.sources.ftrace.text import _Parser
from umtrace.sources.ftrace.translate import Translator

REPEAT = 400
LINE = "  umount-100 [001] 100.{:06d}: funcgraph_entry: + 50.0 us |  synchronize_rcu_expedited();"


def rate(what: str, count: int, work: Callable[[], object]) -> None:
    began = time.process_time()
    work()
    print(f"{what:<28} {count / (time.process_time() - began):>12,.0f} records/s")


def _translator(shift: int) -> Translator:
    return Translator(TaskTracker(), lambda _address: Origin.NS_EXIT, shift=shift, watching=False)


def main() -> None:
    captured = capture(FIXTURES / "ftrace-7.zip")
    records = captured.records()
    many = len(records) * REPEAT
    pages, cpus = captured.pages * REPEAT, captured.cpus * REPEAT
    rate("binary pages to records", many, lambda: captured.decoder.decode(pages, cpus))
    translate = [_translator(captured.shift) for _ in range(REPEAT)]
    rate("records to events", many, lambda: [one.feed(records) for one in translate])
    lines = [LINE.format(number) for number in range(100_000)]
    parser = _Parser()
    rate("text to records", 2 * len(lines), lambda: [list(parser.of_line(line)) for line in lines])


main()
