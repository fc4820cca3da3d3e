"""What a line of scripts/load-check says."""

from __future__ import annotations


def not_loaded(line):
    """Return what the kernel refused, by the name of the program; empty if the tier is whole."""
    refused = dict(line["refused"])
    if line["tier"] != line["asked"]:
        refused["the tier"] = line["error"] or line["tier"]
    for each in line.get("plan", []):
        if "refuses" in each["reason"]:
            refused[each["meaning"]] = each["reason"]
    if line["asked"] != "tracepoint" and not line.get("programs"):
        refused["all"] = "no program was loaded"
    return refused
