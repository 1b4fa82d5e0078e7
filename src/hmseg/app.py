"""Entry point ``python -m hmseg.app``: a page, for this machine alone, to segment pictures of one's own."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from hydra.utils import instantiate

from hmseg.cli import Program, entry
from hmseg.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

NEEDED = ("starlette", "uvicorn")
"""Packages of the extra ``app``."""


def task(cfg: DictConfig) -> None:
    """Serve the page as configured, until Ctrl-C.

    Raises:
        ConfigError: the extra is not installed.
        CheckpointError: there is no such checkpoint.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ConfigError(f"the page needs {' and '.join(missing)}: pip install 'hmseg[app]'")
    from hmseg.webpage.serving import LOOPBACK, http_server, listen

    with listen(cfg.port) as listener:  # before the network is built: a taken port is told at once
        from hmseg.segmenter import Segmenter
        from hmseg.webpage.limits import Limits
        from hmseg.webpage.server import Server
        from hmseg.webpage.work import Work

        segmenter = Segmenter.from_checkpoint(
            cfg.ckpt,
            device=cfg.device,
            weights=cfg.backbone.weights,
            refine=cfg.refine,
            presence=cfg.presence,
        )
        work = Work(segmenter, None if cfg.masking is None else instantiate(cfg.masking))
        limits = Limits(max_mb=cfg.max_mb, max_pixels=cfg.max_pixels)
        port = listener.getsockname()[1]
        print(f"the page is at http://{LOOPBACK}:{port}/ for this machine alone; Ctrl-C ends it", flush=True)
        try:
            http_server(Server(work, limits).app(), port).run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn has closed down already
            print("ended")


PROGRAM = Program(
    config_name="app",
    task=task,
    purpose="A page on this machine: mark an object in one picture, see it in others, compare maskings.",
    examples=(
        "",
        "ckpt=outputs/2026-01-31/12-00-00",
        "ckpt=best.ckpt masking=feature port=8000",
        "max_mb=50 max_pixels=60000000 device=cpu",
    ),
)


def main() -> None:
    """The console script ``hmseg-app``."""
    entry(PROGRAM)


if __name__ == "__main__":
    main()
