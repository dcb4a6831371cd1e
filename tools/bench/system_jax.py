"""JAX: an epoch is one compiled function, a scan over its steps."""
import time

started = time.time()

import functools
import os

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp

import worker


def loss_of(case, weights, x, y, key):
    for i, (kernel, bias) in enumerate(weights[:-1]):
        x = jnp.tanh(x @ kernel + bias)
        if case.dropout:
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - case.dropout, x.shape)
            x = jnp.where(kept, x / (1 - case.dropout), 0)
    z = x @ weights[-1][0] + weights[-1][1]
    if case.classes == 2:
        loss = jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))
    else:
        loss = -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y, 1))
    return loss + case.l2 * sum(jnp.sum(kernel * kernel) for kernel, _ in weights) if case.l2 else loss


def sgd(case, weights, moments, gradient, t):
    return jax.tree.map(lambda w, g: w - case.rate * g, weights, gradient), moments


def adam(case, weights, moments, gradient, t):
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], gradient)
    square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], gradient)
    rate = case.rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    update = lambda w, m, v: w - rate * m / (jnp.sqrt(v) + case.epsilon)
    return jax.tree.map(update, weights, mean, square), (mean, square)


@functools.cache
def build(directory):
    case = worker.load_case(directory)
    batches = tuple(jnp.asarray(array.reshape(case.steps, case.batch, -1)) for array in (case.x, case.y))
    weights = jax.tree.map(jnp.asarray, case.weights)
    moments = tuple(jax.tree.map(jnp.zeros_like, weights) for _ in range(2)) if case.optimizer == "adam" else ()
    update = {"sgd": sgd, "adam": adam}[case.optimizer]
    key = jax.random.key(1, impl="unsafe_rbg")  # the fastest on a CPU

    def step(state, batch):
        weights, moments, t = state
        loss, gradient = jax.value_and_grad(functools.partial(loss_of, case))(weights, *batch, jax.random.fold_in(key, t))
        return (*update(case, weights, moments, gradient, t), t + 1), loss

    def epoch(state, batches):
        state, losses = jax.lax.scan(step, state, batches)
        return state, losses.mean()

    begin = time.perf_counter()
    state = weights, moments, jnp.asarray(1)
    compiled = jax.jit(epoch).lower(state, batches).compile()
    return compiled, state, batches, time.perf_counter() - begin


def train(case, epochs):
    epoch, state, batches, compiling = build(case.directory)
    seconds, losses = [], []
    for _ in range(epochs):
        begin = time.perf_counter()
        state, loss = jax.block_until_ready(epoch(state, batches))
        seconds.append(time.perf_counter() - begin)
        losses.append(float(loss))
    return seconds, losses, compiling


worker.serve(train, started)
