"""``python -m umtrace`` is the command line."""

from __future__ import annotations

from umtrace.search_path import leave_working_directory

leave_working_directory()  # before anything else is imported

from umtrace.cli import main  # noqa: E402

main()
