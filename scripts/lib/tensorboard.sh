# A Python environment with TensorBoard, in the cache folder; sourced after common.sh, never run.
# shellcheck shell=bash

tensorboard_version=2.21.0
# shellcheck disable=SC2154 # from common.sh
venv="$cache/venvs/tensorboard"

# tensorboard_venv [PACKAGE]..: makes $venv if it is not there, with these packages beside TensorBoard.
tensorboard_venv() {
    local wanted=("tensorboard==$tensorboard_version" "$@") done_mark
    done_mark="$venv/installed-$(printf '%s\n' "${wanted[@]}" | cksum | cut -d' ' -f1)"
    [[ -e $done_mark ]] && return
    mkdir -p "$(dirname "$venv")"
    (
        # Two callers at once: the second waits, then finds it done.
        flock 9
        [[ -e $done_mark ]] && exit
        say "installing ${wanted[*]} into $venv"
        [[ -x $venv/bin/python ]] || python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${wanted[@]}" >&2
        touch "$done_mark"
    ) 9>"$venv.lock"
}
