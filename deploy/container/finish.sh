#!/bin/sh
# Adds the server to the root of the image in the folder $1, and removes what does not run.
set -eu
root=$1
venv=/opt/healthreports

"$venv/bin/pip" install --no-cache-dir --no-compile --no-deps /src
"$venv/bin/pip" uninstall --yes --quiet setuptools pip

# Sources of compiled modules, types for checkers, and the symbols for debuggers.
find "$venv" -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' | xargs rm
find "$venv" -name '*.so*' -type f -exec strip --strip-unneeded {} +
find "$venv" -name __pycache__ -prune -exec rm -r {} +
mkdir -p "$root/opt"
cp -a "$venv" "$root/opt/"

chroot "$root" "$venv/bin/python" -B - <compile.py
