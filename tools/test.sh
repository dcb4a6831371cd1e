#!/usr/bin/env bash
# Installs what the tests need, builds twice (Release, and Debug with the address and undefined sanitizers), and runs
# every test through ctest. Arguments go on to ctest: tools/test.sh -L unit. The exit code is ctest's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/common.sh

begin_step "Packages"
tools/install_packages.sh build quickstart tests simulation

begin_step "Python packages that the tests compare with (.venv-tests)"
requirements=tests/python-requirements.txt
digest=$({ /usr/bin/python3 --version && cat $requirements; } | sha256sum)
if [ "$(cat .venv-tests/requirements.sha256 2> /dev/null)" = "$digest" ]; then
    echo "up to date"
else
    rm -rf .venv-tests
    /usr/bin/python3 -m venv .venv-tests
    install_python_packages() {
        .venv-tests/bin/python -m pip --disable-pip-version-check install --quiet -r $requirements
    }
    install_python_packages || {
        echo "trying once more"
        sleep 5
        install_python_packages
    }
    # Written last: a venv that was not finished has no digest and is made anew.
    echo "$digest" > .venv-tests/requirements.sha256
    echo "installed"
fi

begin_step "Build (Release, into build-test/)"
cmake -S . -B build-test -G Ninja -DCMAKE_BUILD_TYPE=Release -DLOCKSTEP_WERROR=ON -DLOCKSTEP_FAULTS=ON \
    -DLOCKSTEP_TEST_PYTHON="$PWD/.venv-tests/bin/python" -DLOCKSTEP_SANITIZED_BUILD="$PWD/build-debug"
cmake --build build-test

begin_step "Build (Debug with sanitizers, into build-debug/)"
cmake --preset debug
cmake --build build-debug

end_step
printf '\nSeconds until here:\n'
print_step_times

begin_step "Tests"
# Two tests for each core: half of their time they wait, for mpirun above all. ctest's summary is the last thing printed, with the
# seconds of each group of tests.
exec ctest --test-dir build-test --output-on-failure --no-tests=error --parallel $((2 * $(nproc))) "$@"
