"""Makes the checkpoint of the training-free prototype that the package carries.

python benchmarks/bundled_checkpoint.py src/hmseg/assets/prototype.ckpt

It holds the configuration that ``python -m hmseg.evaluate model=prototype`` uses; there is nothing learned in
it, and the backbone is the bundled one, recognised by its fingerprint.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from hmseg.assembly import untrained_checkpoint
from hmseg.config import compose
from hmseg.files import writing_bytes


def main(argv: Sequence[str] | None = None) -> None:
    """Compose, reduce, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="checkpoint to write")
    out = parser.parse_args(argv).out
    content = untrained_checkpoint(compose("model=prototype", config_name="evaluate"))
    with writing_bytes(out) as file:
        torch.save(content, file)
    print(f"{out}: {out.stat().st_size / 1e3:.1f} kB")


if __name__ == "__main__":
    main()
