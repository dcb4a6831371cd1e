#!/usr/bin/env bash
# How training would scale on a cluster that is only described: the real trainer on up to 1024 simulated ranks, by SimGrid's
# SMPI. Installs what it needs, builds, simulates.
#   tools/simulate_scaling.sh DIRECTORY [OPTIONS]      options of simulate_scaling.py, beside this file, which explains them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/common.sh

begin_step "Packages"
tools/install_packages.sh build simulation

begin_step "Build (Release, into build/)"
cmake --preset release
cmake --build build --target lockstep

begin_step "Build for simulated ranks (into build-simulation/)"
cmake --preset simulation
cmake --build build-simulation

begin_step "Simulation"
/usr/bin/python3 tools/simulate_scaling.py "$@"
