"""A search by KerasTuner over points that are given: tune_kerastuner.py CASE.json

The case has the data, the trials' settings, optimizer and rate, the epochs, the patience of early stopping or none, the batch size and
the share to validate on; without one that is /test. Prints as JSON how long the search, the training of the best and its evaluation
took, the seconds of each epoch, and the accuracy on /test.
"""
import functools
import json
import os
import sys
import tempfile
import time

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import h5py
import keras
import keras_tuner

epochs = []  # (training, seconds): copies of the callback share it


class EpochTimes(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.training = epochs[-1][0] + 1 if epochs else 0

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        epochs.append((self.training, time.perf_counter() - self.begin))


class GivenTrials(keras_tuner.Oracle):
    def __init__(self, trials, **options):
        super().__init__(**options)
        self.given = list(trials)

    def populate_space(self, trial_id):
        if not self.given:
            return {"status": "STOPPED"}
        settings = self.given.pop(0)
        values = {"layers": len(settings["hidden"]), "activation": settings.get("activation", "tanh")}
        values.update(("units_%d" % i, units) for i, units in enumerate(settings["hidden"]))
        return {"status": "RUNNING", "values": values}


class Tuner(keras_tuner.Tuner):
    def _configure_tensorboard_dir(self, callbacks, trial, execution=0):
        """Nobody looks at TensorBoard, which need not be there then."""


def build(case, n_features, n_classes, hp):
    model = keras.Sequential([keras.Input((n_features,))])
    activation = hp.Choice("activation", ["tanh", "relu"])
    for i in range(hp.Int("layers", 1, 6)):
        model.add(keras.layers.Dense(hp.Int("units_%d" % i, 2, 64), activation=activation))
    optimizer = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[case["optimizer"]](case["rate"])
    if n_classes == 2:
        model.add(keras.layers.Dense(1, activation="sigmoid"))
        model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    else:
        model.add(keras.layers.Dense(n_classes, activation="softmax"))
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main():
    with open(sys.argv[1]) as f:
        case = json.load(f)
    with h5py.File(case["data"]) as f:
        x, y, x_test, y_test = (f[name][:] for name in ("train/X", "train/y", "test/X", "test/y"))
    n = int(len(y) * (1 - case["validation_split"]))
    keras.utils.set_random_seed(1)
    callbacks = [EpochTimes()]
    if case["patience"] is not None:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=case["patience"], restore_best_weights=True))
    validation = (x[n:], y[n:]) if n < len(y) else (x_test, y_test)
    fit = {"batch_size": case["batch"], "epochs": case["epochs"], "validation_data": validation, "callbacks": callbacks, "verbose": 0}
    make = functools.partial(build, case, x.shape[1], int(y.max()) + 1)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        oracle = GivenTrials(case["trials"], objective="val_loss", max_trials=len(case["trials"]))
        tuner = Tuner(oracle, make, directory=directory, project_name="search")
        tuner.search(x[:n], y[:n], **fit)
        best = make(tuner.get_best_hyperparameters()[0])
    best.fit(x[:n], y[:n], **fit)
    _, accuracy = best.evaluate(x_test, y_test, verbose=0)
    print(json.dumps({"seconds": time.perf_counter() - begin, "epochs": epochs, "accuracy": float(accuracy)}))


main()
