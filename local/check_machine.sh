# What must be on the machine before anything can be set up. Prints the Python to use; if something is
# missing, says all of it on standard error and fails. POSIX sh: it runs before there is anything else.

python=
for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done

missing=
say() {
    missing=yes
    printf '  missing: %s\n' "$1" >&2
}

if [ -z "$python" ]; then
    say "Python 3.11 or later (python3 is $(python3 --version 2>&1 || echo not there)). Set PYTHON=… if it has another name"
elif ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    say "Python's venv module (Debian and Ubuntu: apt install python3-venv)"
fi
if ! node --version >/dev/null 2>&1; then
    say "Node.js 20 or later, for the CDK's command line"
elif [ "$(node --version | sed 's/^v\([0-9]*\).*/\1/')" -lt 20 ]; then
    say "Node.js 20 or later: node is $(node --version)"
fi
npm --version >/dev/null 2>&1 || say "npm (it comes with Node.js)"
case $(uname -s) in
Linux | Darwin) ;;
*) say "Linux or macOS: this is $(uname -s). On Windows use WSL" ;;
esac

[ -z "$missing" ] || exit 1
echo "$python"
