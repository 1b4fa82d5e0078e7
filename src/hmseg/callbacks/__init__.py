"""Lightning callbacks: progress of the whole run, its history, the size of its gradients."""

from hmseg.callbacks.gradient_norm import GradientNorm
from hmseg.callbacks.history import RunHistory
from hmseg.callbacks.run_progress import RunProgress

__all__ = ["GradientNorm", "RunHistory", "RunProgress"]
