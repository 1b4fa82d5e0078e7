"""Lightning callbacks: progress, history, last checkpoint, gradients, speed, pictures, what W&B gets."""

from hmseg.callbacks.fixed_episodes import FixedEpisodes
from hmseg.callbacks.gradient_norm import GradientNorm
from hmseg.callbacks.history import RunHistory
from hmseg.callbacks.last_checkpoint import LastCheckpoint
from hmseg.callbacks.run_progress import RunProgress
from hmseg.callbacks.throughput import Throughput
from hmseg.callbacks.wandb_run import WandbRun

__all__ = [
    "FixedEpisodes",
    "GradientNorm",
    "LastCheckpoint",
    "RunHistory",
    "RunProgress",
    "Throughput",
    "WandbRun",
]
