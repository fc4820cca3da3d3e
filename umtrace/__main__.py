"""``python -m umtrace`` is the command line."""

from __future__ import annotations

import os

try:
    from umtrace.search_path import leave_working_directory

    leave_working_directory()  # before anything else is imported

    from umtrace.cli import main
except KeyboardInterrupt:
    os.write(2, b"umtrace: interrupted\n")
    os._exit(130)

main()
