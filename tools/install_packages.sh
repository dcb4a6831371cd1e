#!/usr/bin/env bash
# Installs the Debian packages that lockstep needs: only those that are missing, as root or by sudo.
#   tools/install_packages.sh GROUP...      with GROUP one or more of: build quickstart tests simulation bench
# This is the one place that lists them. Where there is no apt-get it checks that the programs and libraries exist.
set -euo pipefail

build=(gcc libc6-dev cmake ninja-build pkg-config openmpi-bin libopenmpi-dev libhdf5-dev libopenblas-dev
    libjansson-dev libxxhash-dev)
quickstart=(python3-numpy python3-h5py python3-matplotlib)
tests=(libcmocka-dev python3-venv clang-format shellcheck hdf5-tools valgrind slurm-wlm munge mpich libmpich-dev iproute2
    clang libclang-rt-14-dev)
simulation=(libsimgrid-dev)
bench=(libfann-dev python3-venv valgrind)

# The same for other systems: programs, pkg-config modules, modules of /usr/bin/python3.
build_programs=(gcc cmake ninja pkg-config mpicc mpirun)
build_modules=(jansson libxxhash)
quickstart_python=(numpy h5py matplotlib)
tests_programs=(clang-format shellcheck)
tests_modules=(cmocka)
tests_python=(venv ensurepip)
simulation_programs=(smpicc smpirun)
bench_programs=(valgrind taskset)
bench_modules=(fann)
bench_python=(venv ensurepip)

fail() {
    echo "tools/install_packages.sh: $*" >&2
    exit 1
}

packages=() programs=() modules=() python_modules=()
[ $# -gt 0 ] || fail "name one or more groups: build quickstart tests simulation bench"
for group in "$@"; do
    case $group in
    build)
        packages+=("${build[@]}")
        programs+=("${build_programs[@]}")
        modules+=("${build_modules[@]}")
        ;;
    quickstart)
        packages+=("${quickstart[@]}")
        python_modules+=("${quickstart_python[@]}")
        ;;
    tests)
        packages+=("${tests[@]}")
        programs+=("${tests_programs[@]}")
        modules+=("${tests_modules[@]}")
        python_modules+=("${tests_python[@]}")
        ;;
    simulation)
        packages+=("${simulation[@]}")
        programs+=("${simulation_programs[@]}")
        ;;
    bench)
        packages+=("${bench[@]}")
        programs+=("${bench_programs[@]}")
        modules+=("${bench_modules[@]}")
        python_modules+=("${bench_python[@]}")
        ;;
    *) fail "unknown group '$group': the groups are build quickstart tests simulation bench" ;;
    esac
done

if ! command -v apt-get > /dev/null || ! command -v dpkg-query > /dev/null; then
    missing=()
    for program in "${programs[@]}"; do command -v "$program" > /dev/null || missing+=("$program"); done
    for module in "${modules[@]}"; do pkg-config --exists "$module" 2> /dev/null || missing+=("$module (pkg-config)"); done
    for module in "${python_modules[@]}"; do
        /usr/bin/python3 -c "import $module" 2> /dev/null || missing+=("$module (module of /usr/bin/python3)")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        printf '  missing: %s\n' "${missing[@]}" >&2
        fail "this is not a Debian system, so nothing was installed: install what is missing and run this again"
    fi
    echo "not a Debian system: nothing installed, the programs and libraries needed are there"
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2> /dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "packages ($*): all ${#packages[@]} are installed"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo > /dev/null ||
        fail "needs root or sudo for: apt-get install ${missing[*]}"
    as_root=(sudo)
    # Without a terminal nobody can type a password.
    [ -t 0 ] || as_root=(sudo -n)
fi
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}
update() {
    apt update || {
        sleep 5
        apt update
    }
}

echo "packages ($*): installing ${missing[*]}"
updated=no
if ! apt-get -q --simulate install --no-install-recommends "${missing[@]}" > /dev/null 2>&1; then
    update
    updated=yes
fi
if ! apt install -y --no-install-recommends "${missing[@]}"; then
    # The archive has newer versions than the lists say, or the network failed for a moment.
    [ "$updated" = yes ] || update
    apt install -y --no-install-recommends "${missing[@]}"
fi
