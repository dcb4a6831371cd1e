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
    regulariser = keras.regularizers.L2(case.l2) if case.l2 else None
    model = keras.Sequential([keras.Input((case.features,))])
    for units in case.hidden:
        model.add(keras.layers.Dense(units, activation="tanh", kernel_regularizer=regulariser))
        if case.dropout:
            model.add(keras.layers.Dropout(case.dropout, seed=1))
    units, activation, loss = ((1, "sigmoid", keras.losses.BinaryCrossentropy()) if case.classes == 2 else
                               (case.classes, "softmax", keras.losses.SparseCategoricalCrossentropy()))
    model.add(keras.layers.Dense(units, activation=activation, kernel_regularizer=regulariser))
    measures = [keras.metrics.BinaryCrossentropy(), keras.metrics.BinaryAccuracy(), keras.metrics.Precision(),
                keras.metrics.Recall()]
    adam = case.optimizer == "adam"
    optimizer = keras.optimizers.Adam(case.rate, epsilon=case.epsilon) if adam else keras.optimizers.SGD(case.rate)
    model.compile(optimizer, loss, metrics=measures if case.metrics else None)
    return model


def train(case, epochs):
    model = build(case.directory)
    for layer, weights in zip((layer for layer in model.layers if layer.weights), case.weights):
        layer.set_weights(weights)
    for variable in model.optimizer.variables:
        if variable.name != "learning_rate":
            variable.assign(keras.ops.zeros_like(variable))
    times = EpochTimes()
    history = model.fit(case.x, case.y, batch_size=case.batch, epochs=epochs, shuffle=False, verbose=0, callbacks=[times])
    return times.seconds, history.history["loss"], 0


worker.serve(train, started)
