"""PyTorch, eager, fed by a DataLoader from an HDF5 file, through h5py: case.loader "blocks" reads a batch at a time, "rows"
each row by itself, as a dataset of samples does. With two cores a worker process reads."""
import time

started = time.time()

import functools
import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import h5py
import numpy as np
import torch

import worker

cores = len(os.sched_getaffinity(0))
torch.set_num_threads(cores)


class Rows(torch.utils.data.Dataset):
    """Opened by the process that reads: HDF5 does not survive a fork."""

    def __init__(self, case):
        self.case, self.x, self.y = case, None, None

    def open(self):
        if self.x is None:
            train = h5py.File(self.case.data)["train"]
            self.x, self.y = train["X"], train["y"]

    def __len__(self):
        return self.case.samples

    def __getitem__(self, i):
        self.open()
        return self.x[i], np.float32(self.y[i])[None]


class Blocks(Rows):
    """An item is a batch."""

    def __len__(self):
        return -(-self.case.samples // self.case.batch)

    def __getitem__(self, i):
        self.open()
        begin = i * self.case.batch
        end = min(begin + self.case.batch, self.case.samples)
        return torch.from_numpy(self.x[begin:end]), torch.from_numpy(self.y[begin:end].astype(np.float32)[:, None])


@functools.cache
def build(widths):
    modules = [module for pair in zip(widths, widths[1:]) for module in (torch.nn.Linear(*pair), torch.nn.Tanh())]
    return torch.nn.Sequential(*modules[:-1])


def train(case, epochs):
    model = build((case.features, *case.hidden, 1))
    with torch.no_grad():
        for linear, (kernel, bias) in zip(model[::2], case.weights):
            linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
            linear.bias.copy_(torch.from_numpy(bias))
    loss_of = torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=case.rate)
    if case.loader == "rows":
        loader = torch.utils.data.DataLoader(Rows(case), batch_size=case.batch, num_workers=cores - 1)
    else:
        loader = torch.utils.data.DataLoader(Blocks(case), batch_size=None, num_workers=cores - 1)
    seconds, losses = [], []
    for _ in range(epochs):
        begin = time.perf_counter()
        total = torch.zeros((), dtype=torch.float64)
        for x, y in loader:
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(x)
        losses.append(float(total) / case.samples)
        seconds.append(time.perf_counter() - begin)
    return seconds, losses, 0


worker.serve(train, started, worker.read_case)
