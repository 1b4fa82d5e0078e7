"""Processes that SLURM starts: what a Trainer takes from the environment, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from lightning_fabric.plugins.environments import SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy

from hmseg.errors import ConfigError
from hmseg.plugins import check_cluster, cluster, strategy_of
from tiny import LIGHTNING_WARNINGS, tiny_trainer

pytestmark = LIGHTNING_WARNINGS
TASKS = {
    "SLURM_JOB_ID": "1234", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_NNODES": "2", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NODEID": "1",
    "SLURM_NODELIST": "gpu[07-08]", "SLURM_STEP_ID": "0",
}  # fmt: skip
"""Of the sixth of eight processes on two machines."""


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in TASKS.items():
        monkeypatch.setenv(name, value)
    for name in ("MASTER_ADDR", "MASTER_PORT"):  # set by Lightning; monkeypatch takes them away again
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_ranks_come_from_slurm(slurm: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trainer = tiny_trainer(
        tmp_path, devices=4, num_nodes=2, strategy=strategy_of("ddp"), plugins=cluster(),
        use_distributed_sampler=False,
    )  # fmt: skip
    check_cluster(trainer.num_devices, trainer.num_nodes)
    assert (trainer.world_size, trainer.global_rank, trainer.local_rank, trainer.node_rank) == (8, 5, 1, 1)
    (environment,) = cluster()
    assert not environment.auto_requeue  # that is hmseg.callbacks.Interruption's
    assert (environment.main_address, environment.main_port) == ("gpu07", 16234)


@pytest.mark.parametrize(("devices", "nodes"), [(1, 1), (8, 1), (4, 1), (2, 2)])
def test_devices_that_are_not_slurms_tasks_are_refused(
    slurm: pytest.MonkeyPatch, devices: int, nodes: int
) -> None:
    with pytest.raises(
        ConfigError, match=rf"devices={devices} on .*num_nodes={nodes}, but SLURM started 8 task"
    ):
        check_cluster(devices, nodes)


def test_a_plain_call_in_a_batch_script_is_no_step(slurm: pytest.MonkeyPatch) -> None:
    slurm.delenv("SLURM_STEP_ID")
    check_cluster(1, 1)
    with pytest.raises(ConfigError, match="start one for each device, with srun"):
        check_cluster(4, 1)  # without srun the other three would never come


def test_tasks_without_their_number_on_each_machine_are_refused(slurm: pytest.MonkeyPatch) -> None:
    slurm.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(ConfigError, match="8 tasks by --ntasks: give --nodes and --ntasks-per-node"):
        cluster()


def test_outside_of_slurm_there_is_nothing_to_compare() -> None:
    assert not SLURMEnvironment.detect()
    assert cluster() == []
    check_cluster(3, 2)


def test_ddp_sends_no_buffers_around() -> None:
    strategy = strategy_of("ddp")
    assert isinstance(strategy, DDPStrategy) and strategy._ddp_kwargs["broadcast_buffers"] is False
    assert strategy_of("ddp_spawn") == "ddp_spawn"
