"""Lightning callbacks: a run's progress, history and last checkpoint, its gradients, and what may end it."""

from hmseg.callbacks.finite_loss import FiniteLoss
from hmseg.callbacks.gradient_norm import GradientNorm
from hmseg.callbacks.history import RunHistory
from hmseg.callbacks.interruption import Interruption
from hmseg.callbacks.last_checkpoint import LastCheckpoint
from hmseg.callbacks.run_progress import RunProgress
from hmseg.callbacks.step_seed import StepSeed

__all__ = [
    "FiniteLoss",
    "GradientNorm",
    "Interruption",
    "LastCheckpoint",
    "RunHistory",
    "RunProgress",
    "StepSeed",
]
