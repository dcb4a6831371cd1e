# Sourced by the commands of the benchmark, from the repository's root: packages, Python, a Release build of lockstep and
# the C programs of this directory, all below build-bench/ and .venv-bench/.
# shellcheck shell=bash

prepare_packages() {
    begin_step "Packages"
    tools/install_packages.sh build bench
}

prepare_python() {
    begin_step "Python packages (.venv-bench)"
    local requirements=tools/bench/python-requirements.txt digest
    digest=$({ /usr/bin/python3 --version && cat $requirements; } | sha256sum)
    if [ "$(cat .venv-bench/requirements.sha256 2> /dev/null)" = "$digest" ]; then
        echo "up to date"
    else
        rm -rf .venv-bench
        /usr/bin/python3 -m venv .venv-bench
        .venv-bench/bin/python -m pip --disable-pip-version-check install --quiet -r $requirements
        # Written last: a venv that was not finished has no digest and is made anew.
        echo "$digest" > .venv-bench/requirements.sha256
        echo "installed"
    fi
}

build_lockstep() {
    begin_step "Build (Release, into build-bench/)"
    cmake -S . -B build-bench -G Ninja -DCMAKE_BUILD_TYPE=Release -DLOCKSTEP_TESTS=OFF
    cmake --build build-bench
}

build_programs() {
    begin_step "Build of the benchmark's own programs"
    local flags=(-O3 -std=gnu11 -Wall -Wextra) openblas
    gcc "${flags[@]}" -o build-bench/system_fann tools/bench/system_fann.c -lfloatfann -lm
    read -ra openblas < <(pkg-config --cflags --libs openblas)
    mpicc "${flags[@]}" -o build-bench/limit_parts tools/bench/limit_parts.c "${openblas[@]}"
    mpicc "${flags[@]}" -o build-bench/limit_overlap tools/bench/limit_overlap.c "${openblas[@]}"
    if [ "$(uname -m)" = x86_64 ]; then
        flags+=(-ffp-contract=fast -fno-math-errno -mavx2 -mfma)
        gcc "${flags[@]}" -DLANES=8 -o build-bench/limit_tiny_avx2 tools/bench/limit_tiny.c -lm
        gcc "${flags[@]}" -DLANES=16 -mavx512f -mavx512vl -mavx512dq -mavx512bw -mprefer-vector-width=512 \
            -o build-bench/limit_tiny_avx512 tools/bench/limit_tiny.c -lm
    fi
}

prepare_benchmark() {
    prepare_packages
    prepare_python
    build_lockstep
    build_programs
}
