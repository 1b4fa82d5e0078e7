"""Networks as files for other programs: which parts, in which formats, and the check that each passes."""
