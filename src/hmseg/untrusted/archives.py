"""The zip archives that PyTorch's files are, looked at before anything of them is unpacked."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from hmseg.untrusted.files import opened


def packed(path: Path) -> str | None:
    """Why an archive is not unpacked: its entries come to more bytes than the file has; None where it may be.

    ``torch.save`` packs nothing, so that a file of five megabytes never holds a gigabyte. What is no
    archive, or no ordinary file, is for its reader to refuse.
    """
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
            size = os.fstat(file.fileno()).st_size
    except Exception:  # noqa: BLE001 - zipfile raises of everything
        return None
    if unpacked <= size:
        return None
    return (
        f"its {size / 1e6:.3g} MB unpack to {unpacked / 1e6:.3g} MB, and PyTorch packs nothing: "
        "save it again with torch.save"
    )
