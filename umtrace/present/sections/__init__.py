"""The sections of a report, one file each: from what was gathered to a `Section`.

The file's name is the section's name; `umtrace.report_contents` puts the sections in order.
"""
