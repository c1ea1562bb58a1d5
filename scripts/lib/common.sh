# Shared by the scripts beside this folder; sourced, never run.
# shellcheck shell=bash

lib="$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")"
root="$(dirname "$(dirname "$lib")")"
deps="$root/.deps"

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() { say "$@"; exit 1; }

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

# fetch_mnist PROGRAM: unless it is there. Failing is no error here: what needs MNIST stops by itself and says why.
fetch_mnist() {
    local folder="${PLIANT_DATA:-$cache/data}/mnist"
    [[ -e $folder/train-images-idx3-ubyte && -e $folder/train-labels-idx1-ubyte &&
        -e $folder/t10k-images-idx3-ubyte && -e $folder/t10k-labels-idx1-ubyte ]] && return
    "$1" fetch mnist </dev/null >/dev/null ||
        say "MNIST could not be fetched; what needs it will say so (later: scripts/pliant fetch mnist)"
}
