# shellcheck shell=bash
# Makes .venv in the project's root. Sourced by the scripts beside it, which run under `set -eu`; not run by itself.
#
# After `prepare_environment all` the environment holds flagent with every extra, and after `prepare_environment all dev`
# the tools of development too. A stamp file remembers what was installed, so the second call costs milliseconds.

CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit 2
root=$PWD
venv=$root/.venv

say() { printf 'scripts/%s: %s\n' "${0##*/}" "$*" >&2; }

# Print a Python that is new enough and can make environments. A name on the path may be a shim for an interpreter
# that is not there, so each candidate has to run.
find_python() {
  local candidate found=''
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
    found=$candidate
    if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      command -v -- "$candidate"
      return 0
    fi
  done
  if [ -z "$found" ]; then
    say "Python 3.11 or newer is needed and was not found as python3, python3.14 … python3.11 or python; install it and try again"
  else
    say "$found has no venv module; install it (on Debian and Ubuntu: apt-get install python3-venv) and try again"
  fi
  return 2
}

# What the stamp says when `$1` is installed: the files that decide about it, the place and the interpreter.
fingerprint() {
  printf '%s\n' "$1" "$venv" "$("$venv/bin/python" --version 2>&1)"
  cat -- "$root/pyproject.toml" "$root/constraints.txt"
}

is_current() {
  [ -x "$venv/bin/python" ] && [ -f "$venv/.installed-$1" ] &&
    [ "$(cat -- "$venv/.installed-$1")" = "$(fingerprint "$1" | cksum)" ]
}

# Print the requirements of the dependency group `dev`, one a line: older versions of pip can't read groups.
development_requirements() {
  "$venv/bin/python" -c '
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["dependency-groups"]["dev"], sep="\n")'
}

# An environment that was moved or whose interpreter is gone can't be mended: its programs name the old place.
make_venv() {
  local python
  if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' >/dev/null 2>&1 &&
    head -n 3 "$venv/bin/pip" 2>/dev/null | grep -qF -- "$venv/bin/"; then
    return 0
  fi
  python=$(find_python) || exit $?
  say "making the environment .venv with $python"
  "$python" -m venv --clear "$venv"
}

install() {
  if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input -c constraints.txt "$@" >&2; then
    say "pip could not install what is needed (its message is above); check the network and try again"
    exit 2
  fi
}

# Make the environment hold each part that is named: `all` (flagent with every extra), `dev` (the tools).
prepare_environment() {
  local part
  for part in "$@"; do
    is_current "$part" && continue
    make_venv
    say "installing ($part); this happens once"
    case $part in
      all) install -e '.[all]' ;;
      dev)
        development_requirements >"$venv/.development-requirements"
        install -r "$venv/.development-requirements"
        ;;
    esac
    fingerprint "$part" | cksum >"$venv/.installed-$part"
  done
}
