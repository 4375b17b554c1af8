"""Data parallel training in processes that `torchrun` started: this process' rank, and sums over all processes."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from wavetts.model.device import choose_device

# Gradients are summed in buckets of about this many values, so that few messages are sent.
BUCKET_SIZE = 16_000_000


@dataclass(frozen=True)
class Processes:
    """The process group, as this process sees it.

    Attributes:
        rank: index of this process; process 0 writes files and shows progress.
        world_size: number of processes; with 1 nothing is communicated.
        device: the device of this process' model and batches.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Sums a tensor over the processes, in place, and returns it."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def sum_gradients(self, model: nn.Module) -> None:
        """Replaces every gradient by its sum over the processes; a parameter without a gradient counts as zero."""
        if self.world_size == 1:
            return
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for bucket in _buckets(parameters):
            flat = torch.cat(
                [(torch.zeros_like(p) if p.grad is None else p.grad).flatten().to(torch.float32) for p in bucket]
            )
            dist.all_reduce(flat)
            for parameter, grad in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
                parameter.grad = grad.view_as(parameter).to(parameter.dtype)

    def broadcast(self, model: nn.Module) -> None:
        """Copies the weights and buffers of process 0 to all processes."""
        if self.world_size > 1:
            for tensor in model.state_dict().values():
                dist.broadcast(tensor, 0)

    def barrier(self) -> None:
        """Waits until all processes have called this."""
        if self.world_size > 1:
            self.sum(torch.zeros(1, device=self.device))


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    for parameter in parameters:
        if bucket and sum(p.numel() for p in bucket) + parameter.numel() > BUCKET_SIZE:
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket


@contextmanager
def join_processes(device_name: str) -> Generator[Processes]:
    """Joins the process group that `torchrun` started, within a context; without `torchrun` this is the only process.

    Args:
        device_name: as for `choose_device`; several processes on GPUs take the GPU of their local rank each.

    Raises:
        UserError: there is no such device.
    """
    device = choose_device(device_name)
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield Processes(0, 1, device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), world_size, device)
    finally:
        dist.destroy_process_group()
