"""Bytes of unknown origin: bounded and looked through before a parser gets them, its errors in one line.

Every reader of a file that somebody else may have written stands on this package, which knows nothing of
data, networks or configuration. PyTorch is imported by ``torch_files`` alone.
"""

from hmseg.untrusted.files import FEW_BYTES, json_or_none, opened, read_bytes, read_text
from hmseg.untrusted.parsing import parsing, reason

__all__ = ["FEW_BYTES", "json_or_none", "opened", "parsing", "read_bytes", "read_text", "reason"]
