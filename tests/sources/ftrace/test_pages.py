from __future__ import annotations

import numpy as np

from bench.captures import PAGE
from tests.sources.ftrace.builders import head, page
from umtrace.sources.ftrace.pages import walk


def test_every_kind_of_record_moves_the_time_as_the_kernel_says():
    words = [
        *(head(2, 10), 0xAAAA, 0xBBBB),  # 8 bytes of data, 10 ns later
        *(head(30, 1), 1),  # time goes on by 1 << 27 and 1
        *(head(0, 5), 12, 1, 2),  # its length in a word of its own: 12 less that word
        *(head(29, 3), 8, 0xDEAD),  # discarded: its time counts, its data does not
        *(head(31, 9), 100),  # time is 100 << 27 and 9
        *(head(1, 1), 0xCCCC),
    ]
    walked = walk([page(1000, *words)], PAGE)
    assert walked.ts_ns.tolist() == [1010, 1010 + (1 << 27) + 1 + 5, (100 << 27) + 10]
    first = walked.data.view("<u4")[walked.at // 4]
    assert first.tolist() == [0xAAAA, 1, 0xCCCC]


def test_nothing_behind_the_committed_length_is_read():
    full = page(1, head(1, 1), 5)
    noise = bytes([1, 0, 0, 0] * 20)
    assert walk([full + noise], PAGE).at.size == 1


def test_the_end_of_a_page_is_padding_without_a_time():
    words = [head(1, 1), 5, head(29, 0), 0, head(1, 1), 6]
    assert walk([page(1, *words)], PAGE).ts_ns.tolist() == [2]


def test_pages_of_different_fill_are_walked_together():
    few, many = page(0, head(1, 1), 1), page(50, *[head(1, 1), 2] * 300)
    walked = walk([few, page(9), many], PAGE)
    assert np.bincount(walked.page, minlength=3).tolist() == [1, 0, 300]
    assert walked.ts_ns[-1] == 350


def test_a_page_after_overwritten_ones_says_so():
    walked = walk([page(1, missed=True), page(2)], PAGE)
    assert walked.missed.tolist() == [True, False]
