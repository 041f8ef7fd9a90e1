# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts from the root of the repository; bash. No root rights needed.

# The first interpreter that is new enough and works; $PYTHON, if set, is the only candidate.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer is needed; looked for: ${PYTHON:-python3, python3.13, python3.12, python3.11}." >&2
    echo "Install it (Debian, Ubuntu: apt install python3 python3-venv) or set PYTHON to its path." >&2
    return 1
}

make_venv() {
    local python
    python=$(find_python) || return 1
    # Debian and Ubuntu pack this module apart from Python.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$python cannot make virtual environments: its modules venv and ensurepip are missing." >&2
        echo "Install them (Debian, Ubuntu: apt install python3-venv) and start again." >&2
        return 1
    fi
    "$python" -m venv --clear .venv
}

# environment EXTRA: .venv with this checkout, editable, and the named extra of pyproject.toml. An environment
# is used again as long as it stands where it was made and pyproject.toml has not changed.
environment() {
    local extra=$1 stamp=.venv/systolith.stamp state
    state="$PWD $(sha256sum <pyproject.toml)"
    if [ -e "$stamp" ] && { [ "$(cat "$stamp")" = "all $state" ] || [ "$(cat "$stamp")" = "$extra $state" ]; } &&
        .venv/bin/python -c '' 2>/dev/null; then
        return
    fi
    echo "== environment: installing systolith[$extra] into .venv; the first time this downloads its tools"
    if ! [ -e "$stamp" ] || ! grep -qF " $PWD " "$stamp" || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        make_venv || return 1
    fi
    # An interrupted installation leaves this line behind and is taken up again.
    echo "incomplete $state" >"$stamp"
    .venv/bin/python -m pip install --disable-pip-version-check --editable ".[$extra]" || return 1
    echo "$extra $state" >"$stamp"
}

# Verilator compiles what it simulates. Nothing here can install a compiler, so say what is missing and go on.
mention_missing_build_tools() {
    local tool missing=""
    for tool in g++ make perl; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    if [ -n "$missing" ]; then
        echo "Missing:$missing. Verilator needs them (Debian, Ubuntu: apt install$missing)." >&2
    fi
}
