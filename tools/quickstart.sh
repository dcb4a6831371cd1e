#!/usr/bin/env bash
# From a fresh clone to a trained network: installs the packages, builds, runs the notebook's job on 2 ranks, prints
# its measures and leaves pictures and files in the repository's top directory. May be run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/common.sh

begin_step "Packages"
tools/install_packages.sh build quickstart

begin_step "Build (Release, into build/)"
cmake --preset release -DLOCKSTEP_TESTS=OFF
cmake --build build
lockstep=build/lockstep
prepare_mpirun 2

begin_step "Data: scikit-learn's make_classification, 80000 training and 20000 test samples"
"$lockstep" generate -o data.h5 --n-samples 100000 --n-features 2 --n-informative 2 --n-redundant 0 \
    --n-classes 2 --n-clusters-per-class 2 --class-sep 1.5 --flip-y 0.01 --random-state 7 \
    --train-size 0.8 --split-random-state 0

begin_step "Training: hidden layers [2, 2], 4 epochs, batch 8, on 2 ranks"
"${mpirun[@]}" "$lockstep" train data.h5 --hidden 2,2 --activation tanh --epochs 4 --batch-size 8 \
    --learning-rate 0.01 --seed 1 -o model.h5 --history history.csv

begin_step "Summary of the model"
"$lockstep" summary model.h5 --weights

begin_step "Measures of the trained model"
"$lockstep" evaluate model.h5 data.h5

begin_step "Predictions"
"$lockstep" predict model.h5 data.h5 -o predictions.h5

begin_step "Pictures"
/usr/bin/python3 tools/plot_boundary.py model.h5 data.h5 -o boundary.png
/usr/bin/python3 tools/plot_history.py history.csv -o history.png

printf '\nDone. Seconds of each step:\n'
print_step_times
cat << 'END'

In this directory now:
  boundary.png    the data and the decision boundary (the notebook's picture)
  history.png     loss and measures over the epochs
  model.h5        the model; keras.models.load_model opens it
  data.h5         the data: /train/X /train/y /test/X /test/y
  predictions.h5  the model's output for each sample
  history.csv     one line for each epoch
END
