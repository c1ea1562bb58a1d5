# Shared by the scripts beside this folder; sourced, never run.
# shellcheck shell=bash

lib="$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")"
root="$(dirname "$(dirname "$lib")")"
deps="$root/.deps"

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() { say "$@"; exit 1; }

# wants_help ARGUMENT..: what says so is answered before anything is built or fetched.
wants_help() { [[ " $* " == *" --help "* || " $* " == *" -h "* ]]; }

# XDG: a relative XDG_CACHE_HOME counts as unset.
case "${XDG_CACHE_HOME:-}" in
    /*) cache="$XDG_CACHE_HOME/pliant" ;;
    *) cache="${HOME:?is not set; set HOME or XDG_CACHE_HOME}/.cache/pliant" ;;
esac

# The built programs look for libtorch in .deps, two folders up: keep cargo's output where they expect it.
export CARGO_TARGET_DIR="$root/target"

# For what the run path in .cargo/config.toml does not reach: documentation tests, and builds where
# the caller's RUSTFLAGS replace ours. The caller's own folders come first.
add_library_path() {
    export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$deps/torch/lib"
}

# Every script builds against the same libtorch as .deps/torch, from whichever folder it is called:
# cargo hands a relative LIBTORCH to build scripts that run elsewhere.
if [[ -n ${LIBTORCH:-} && -d $LIBTORCH ]]; then
    LIBTORCH="$(CDPATH='' cd -- "$LIBTORCH" && pwd)"
    export LIBTORCH
fi

# fetch_data PROGRAM DATASET..: those that are not there. Failing is no error here: what needs them stops by itself and says why.
fetch_data() {
    local program=$1 dataset
    shift
    for dataset; do
        has_data "$dataset" || "$program" fetch "$dataset" </dev/null >/dev/null ||
            say "$dataset could not be fetched; what needs it will say so (later: scripts/pliant fetch $dataset)"
    done
}

has_data() {
    local file files=({train,t10k}-{images-idx3,labels-idx1}-ubyte)
    [[ $1 != cifar10 ]] || files=(data_batch_{1..5}.bin test_batch.bin)
    for file in "${files[@]}"; do
        [[ -e ${PLIANT_DATA:-$cache/data}/$1/$file ]] || return
    done
}
