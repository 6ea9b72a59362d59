"""Trains a digit classifier with DistributedDataParallel; rank 0 leaves the model in PAI_OUTPUT_DIR."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

DATA, OUTPUT = Path(os.environ["PAI_INPUT_DATASET_DIR"]), Path(os.environ["PAI_OUTPUT_DIR"])
PARAMS = {"epochs": 20, "learning_rate": 0.01, "batch_size": 32, **json.loads(os.environ.get("PAI_PARAMS", "{}"))}
GPU = torch.cuda.is_available()


def read(name: str) -> TensorDataset:
    """Read rows of `label, 64 pixels of 0 to 16`."""
    table = torch.from_numpy(np.loadtxt(DATA / name, delimiter=",", dtype=np.float32))
    return TensorDataset(table[:, 1:] / 16, table[:, 0].long())


def train(model: nn.Module, device: torch.device) -> list[float]:
    """Train on this process's share of the rows and return the mean loss of each epoch."""
    rows = read("train.csv")
    sampler = DistributedSampler(rows)
    batches = DataLoader(rows, batch_size=int(PARAMS["batch_size"]), sampler=sampler)
    optimizer = torch.optim.Adam(model.parameters(), lr=float(PARAMS["learning_rate"]))
    losses = []
    for epoch in range(int(PARAMS["epochs"])):
        sampler.set_epoch(epoch)
        total = torch.zeros(2, device=device)
        for pixels, labels in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(pixels.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            total += torch.stack([loss.detach(), torch.ones((), device=device)])
        dist.all_reduce(total)
        losses.append(float(total[0] / total[1]))
    return losses


def accuracy(model: nn.Module, device: torch.device) -> float:
    """Return the share of right answers on samples that no training ever saw, 0 to 1."""
    pixels, labels = read("holdout.csv").tensors
    with torch.no_grad():
        return float((model(pixels.to(device)).argmax(dim=1).cpu() == labels).float().mean())


def save(model: nn.Module, losses: list[float], metrics: dict[str, float]) -> None:
    """Write the model, what was measured and, where TensorBoard is installed, its events."""
    torch.save(model.state_dict(), OUTPUT / "model.pt")
    (OUTPUT / "metrics.json").write_text(json.dumps(metrics, indent=1))
    (OUTPUT / "params.json").write_text(json.dumps(PARAMS, indent=1))
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        print("no TensorBoard in this image: no events are written", flush=True)
        return
    with SummaryWriter(OUTPUT / "events") as events:
        for epoch, loss in enumerate(losses):
            events.add_scalar("loss", loss, epoch)


def main() -> None:
    """Join the other processes, train, and let rank 0 save."""
    dist.init_process_group("nccl" if GPU else "gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if GPU else torch.device("cpu")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).to(device)
    print(f"rank {rank}: {world} processes train together over {dist.get_backend()}", flush=True)
    losses = train(DistributedDataParallel(network), device)
    if rank == 0:
        metrics = {"accuracy": round(accuracy(network, device), 4), "loss": round(losses[-1], 4), "processes": world}
        save(network, losses, metrics)
        print(f"rank 0: {metrics}", flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
