"""Run the lab's command line."""

from __future__ import annotations

from lab.cli import main

if __name__ == "__main__":
    main()
