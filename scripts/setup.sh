# Sourced by ./run-demo and ./run-tests: find a Python, make .venv, install into it. Needs nothing but bash.
#
# A finished setup leaves a stamp in .venv; while what it was made from is unchanged, the next run installs nothing
# and needs no network.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
export UV_PYTHON_DOWNLOADS=never # the interpreters of this machine, or none

# uv is to ask whom pip would ask, and to trust whom the machine trusts.
if [ -n "${PIP_INDEX_URL:-}" ]; then
    export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}
fi
if [ -s /etc/ssl/certs/ca-certificates.crt ]; then
    export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}
fi

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

die() {
    say "$@"
    exit 1
}

# Prints the first interpreter that is new enough. A candidate may exist and still not run (a pyenv shim).
find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Installs Debian packages as root, or says what to install.
require_packages() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $*"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; } >&2 </dev/null ||
            die "apt-get could not install $*"
    else
        die "$* is missing. On Debian and Ubuntu: sudo apt-get install $*"
    fi
}

make_venv() {
    local python version
    if ! python=$(find_python); then
        require_packages python3 python3-venv
        python=$(find_python) || die "Python 3.11 or newer is needed; set PYTHON to its path"
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("python{}.{}".format(*sys.version_info))')
        require_packages "$version-venv"
    fi
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv 2>"$venv/pip.log" || {
        cat "$venv/pip.log" >&2
        die "pip could not install uv"
    }
    printf '%s\n' "$root" >"$venv/.root"
}

# setup NAME COMMAND...: a .venv in which COMMAND was run, with the .venv's programs first on the PATH.
# A .venv of a moved clone, or of a Python that is gone, is made anew.
setup() {
    local name=$1 stamp
    shift
    if [ "$(cat "$venv/.root" 2>/dev/null)" != "$root" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
        say "setting up .venv, once"
        make_venv
    fi
    export PATH=$venv/bin:$PATH
    cd "$root"
    stamp="$* $(find . -path './.*' -prune -o -name pyproject.toml -print | LC_ALL=C sort | xargs cat | cksum)"
    if [ "$(cat "$venv/.ready-$name" 2>/dev/null)" != "$stamp" ]; then
        "$@" || die "the installation failed; see above"
        printf '%s' "$stamp" >"$venv/.ready-$name"
    fi
}
