"""Keras fed by tf.data from an HDF5 file: a generator reads a batch at a time through h5py, the next ones are prefetched."""
import time

started = time.time()

import functools
import os

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import h5py
import keras
import numpy as np
import tensorflow as tf

import worker


@functools.cache
def build(widths, rate):
    layers = [keras.layers.Dense(units, activation="tanh") for units in widths[1:]]
    model = keras.Sequential([keras.Input((widths[0],)), *layers, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.SGD(rate), keras.losses.BinaryCrossentropy())
    return model


def batches(case):
    with h5py.File(case.data) as f:
        x, y = f["train/X"], f["train/y"]
        for first in range(0, case.samples, case.batch):
            end = min(first + case.batch, case.samples)
            yield x[first:end], y[first:end].astype(np.float32)[:, None]


def train(case, epochs):
    model = build((case.features, *case.hidden), case.rate)
    model.set_weights([array for layer in case.weights for array in layer])
    signature = tf.TensorSpec((None, case.features), tf.float32), tf.TensorSpec((None, 1), tf.float32)
    rows = tf.data.Dataset.from_generator(lambda: batches(case), output_signature=signature)
    rows = rows.apply(tf.data.experimental.assert_cardinality(-(-case.samples // case.batch))).prefetch(tf.data.AUTOTUNE)
    seconds, losses = [], []
    for _ in range(epochs):
        begin = time.perf_counter()
        losses.append(model.fit(rows, epochs=1, shuffle=False, verbose=0).history["loss"][0])
        seconds.append(time.perf_counter() - begin)
    return seconds, losses, 0


worker.serve(train, started, worker.read_case)
