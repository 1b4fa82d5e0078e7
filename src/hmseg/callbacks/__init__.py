"""Lightning callbacks: progress, history, checkpoints, averages, gradients, speed, pictures, W&B, ends."""

from hmseg.callbacks.finite_loss import FiniteLoss
from hmseg.callbacks.fixed_episodes import FixedEpisodes
from hmseg.callbacks.gradient_norm import GradientNorm
from hmseg.callbacks.history import RunHistory
from hmseg.callbacks.interruption import Interruption
from hmseg.callbacks.last_checkpoint import LastCheckpoint
from hmseg.callbacks.run_progress import RunProgress
from hmseg.callbacks.step_seed import StepSeed
from hmseg.callbacks.throughput import Throughput
from hmseg.callbacks.wandb_run import WandbRun
from hmseg.callbacks.weight_average import WeightAverage

__all__ = [
    "FiniteLoss",
    "FixedEpisodes",
    "GradientNorm",
    "Interruption",
    "LastCheckpoint",
    "RunHistory",
    "RunProgress",
    "StepSeed",
    "Throughput",
    "WandbRun",
    "WeightAverage",
]
