# Sourced by the scripts beside it: named and timed steps, and mpirun as this machine needs it.
# shellcheck shell=bash

step_name="start"
step_began=$SECONDS
step_times=()

# Begins a step; the previous one has ended.
begin_step() {
    end_step
    step_name=$1
    printf '\n==> %s\n' "$step_name"
}

end_step() {
    [ "$step_name" = start ] || step_times+=("$(printf '%5d s  %s' $((SECONDS - step_began)) "$step_name")")
    step_began=$SECONDS
}

print_step_times() {
    end_step
    printf '%s\n' "${step_times[@]}"
    step_name=start
}

report_failure() {
    local code=$?
    [ $code -eq 0 ] || echo "$0: FAILED in the step '$step_name' (exit code $code)" >&2
}
trap report_failure EXIT

# Sets the array mpirun for a number of ranks. Root must ask Open MPI twice (containers); more ranks than cores must
# be allowed, and then a waiting rank must leave the core to the others.
prepare_mpirun() {
    local ranks=$1 cores
    mpirun=(mpirun -n "$ranks")
    if [ "$(id -u)" -eq 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
    cores=$({ lscpu -p=CORE,SOCKET 2> /dev/null || true; } | awk '!/^#/' | sort -u | wc -l)
    # A container may own fewer processors than the machine has cores.
    if [ "$cores" -lt 1 ] || [ "$(nproc)" -lt "$cores" ]; then cores=$(nproc); fi
    if [ "$cores" -lt "$ranks" ]; then
        mpirun+=(--oversubscribe)
        export OMPI_MCA_mpi_yield_when_idle=1
    fi
}
