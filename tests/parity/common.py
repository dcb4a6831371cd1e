"""What the comparisons with Keras share: a quiet start of Keras, counting checks, running on ranks, reading weights."""
import os
import sys

import h5py
import numpy as np

os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_mpi_yield_when_idle="1",
                  OMPI_MCA_rmaps_base_oversubscribe="1")
n_checks = n_failed = 0


def start_keras(dtype):
    """The module keras, which computes in this type by one thread on the processor. Called once in a process, before anything
    else of Keras."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import absl.logging
    absl.logging.set_verbosity(absl.logging.ERROR)
    import keras
    import tensorflow
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    keras.config.set_floatx(dtype)
    return keras


def check(name, ok, detail=""):
    """Counts one check; a failed one is printed, with VERBOSE in the environment every one."""
    global n_checks, n_failed
    n_checks += 1
    n_failed += not ok
    if not ok or os.environ.get("VERBOSE"):
        print("ok    " if ok else "FAILED", name, detail, flush=True)


def finish(what="", least=1):
    """Prints the summary and leaves with the exit code of the script: fewer checks than these are a failure."""
    print("%s%d checks, %d failed" % (what, n_checks, n_failed), flush=True)
    sys.exit(1 if n_failed or n_checks < least else 0)


def on_ranks(ranks):
    """The words before a command that run it on so many ranks, none for one process."""
    return ["mpirun", "-n", str(ranks)] if ranks > 1 else []


def read_weights(path):
    """The tensors of a model file in Keras' order."""
    with h5py.File(path) as file:
        group = file["model_weights"]
        text = lambda s: s.decode() if isinstance(s, bytes) else s
        return [group[text(layer)][text(name)][...] for layer in group.attrs["layer_names"]
                for name in group[text(layer)].attrs["weight_names"]]


def error(ours, theirs):
    """Largest difference / largest weight of a tensor. One of zeros (the biases of dead relu units) has no scale of its own: its
    difference counts as it is."""
    return max(float(np.max(np.abs(a - b)) / (np.max(np.abs(b)) or 1)) for a, b in zip(ours, theirs))
