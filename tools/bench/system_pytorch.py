"""PyTorch, eager: the usual loop. With WORLD_SIZE above 1 DistributedDataParallel over gloo: a rank has a part of a batch."""
import time

started = time.time()

import functools
import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch

import worker

ranks, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
torch.set_num_threads(1)
torch.manual_seed(rank)
if ranks > 1:
    torch.distributed.init_process_group("gloo")


@functools.cache
def build(directory):
    case = worker.load_case(directory)
    widths = (case.features, *case.hidden)
    modules = []
    for pair in zip(widths, widths[1:]):
        modules += [torch.nn.Linear(*pair), torch.nn.Tanh()] + [torch.nn.Dropout(case.dropout)] * (case.dropout > 0)
    model = torch.nn.Sequential(*modules, torch.nn.Linear(widths[-1], 1 if case.classes == 2 else case.classes))
    return model, torch.nn.parallel.DistributedDataParallel(model) if ranks > 1 else model


def train(case, epochs):
    model, parallel = build(case.directory)
    linears = [module for module in model if isinstance(module, torch.nn.Linear)]
    with torch.no_grad():
        for linear, (kernel, bias) in zip(linears, case.weights):
            linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
            linear.bias.copy_(torch.from_numpy(bias))
    x, y = torch.from_numpy(case.x), torch.from_numpy(case.y)
    loss_of = torch.nn.BCEWithLogitsLoss() if case.classes == 2 else torch.nn.CrossEntropyLoss()
    kernels = [linear.weight for linear in linears]
    parameters = [{"params": kernels, "weight_decay": 2 * case.l2}, {"params": [linear.bias for linear in linears]}]
    if case.optimizer == "adam":
        optimizer = torch.optim.Adam(parameters, lr=case.rate, eps=case.epsilon)
    else:
        optimizer = torch.optim.SGD(parameters, lr=case.rate)
    part = case.batch // ranks
    seconds, losses = [], []
    for _ in range(epochs):
        begin = time.perf_counter()
        total = torch.zeros(())
        for first in range(rank * part, case.samples, case.batch):
            optimizer.zero_grad()
            loss = loss_of(parallel(x[first:first + part]), y[first:first + part])
            if case.l2:
                # weight_decay has its gradient; the others show it in the loss, too.
                with torch.no_grad():
                    total += case.l2 * sum(kernel.square().sum() for kernel in kernels)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        losses.append(float(total) / case.steps)
        seconds.append(time.perf_counter() - begin)
    return seconds, losses, 0


worker.serve(train, started)
