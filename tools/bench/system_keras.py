"""Keras with the TensorFlow backend: model.fit as it is, except that the order of the rows stays."""
import time

started = time.time()

import functools
import os

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import keras

import worker


class EpochTimes(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.begin)


@functools.cache
def build(directory):
    case = worker.load_case(directory)
    layers = [keras.layers.Dense(units, activation="tanh") for units in case.hidden]
    model = keras.Sequential([keras.Input((case.features,)), *layers, keras.layers.Dense(1, activation="sigmoid")])
    measures = [keras.metrics.BinaryCrossentropy(), keras.metrics.BinaryAccuracy(), keras.metrics.Precision(),
                keras.metrics.Recall()]
    model.compile(keras.optimizers.SGD(case.rate), keras.losses.BinaryCrossentropy(),
                  metrics=measures if case.metrics else None)
    return model


def train(case, epochs):
    model = build(case.directory)
    model.set_weights([array for layer in case.weights for array in layer])
    times = EpochTimes()
    history = model.fit(case.x, case.y, batch_size=case.batch, epochs=epochs, shuffle=False, verbose=0, callbacks=[times])
    return times.seconds, history.history["loss"], 0


worker.serve(train, started)
