"""Lightning callbacks: progress of the whole run, its history, its last checkpoint, its gradients."""

from hmseg.callbacks.gradient_norm import GradientNorm
from hmseg.callbacks.history import RunHistory
from hmseg.callbacks.last_checkpoint import LastCheckpoint
from hmseg.callbacks.run_progress import RunProgress

__all__ = ["GradientNorm", "LastCheckpoint", "RunHistory", "RunProgress"]
