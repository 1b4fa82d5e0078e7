"""Pictures as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 240
"""Longer side of a picture in pixels."""
QUALITY = 80


def data_uri(image: NDArray[np.uint8]) -> str:
    """A picture as JPEG in a data URI, at most ``SIDE`` pixels on its longer side."""
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
