"""hmseg's launchers and its sweeper under the names by which Hydra finds plugins; the code: ``hmseg.sweeps``.

Hydra builds launchers and sweepers from this namespace only, and imports it whenever it starts: nothing heavy
is imported here.
"""

from hmseg.sweeps.cluster import LocalLauncher, SlurmLauncher
from hmseg.sweeps.optuna_sweeper import OptunaSearch
from hmseg.sweeps.pool import JoblibLauncher
from hmseg.sweeps.sequential import SequentialLauncher


class Sequential(SequentialLauncher):
    """``hydra/launcher=sequential``."""


class Joblib(JoblibLauncher):
    """``hydra/launcher=joblib``."""


class SubmititLocal(LocalLauncher):
    """``hydra/launcher=submitit_local``."""


class SubmititSlurm(SlurmLauncher):
    """``hydra/launcher=submitit_slurm``."""


class Optuna(OptunaSearch):
    """``hydra/sweeper=optuna``."""
