#!/bin/sh
# Makes the root of the image in the folder $1: Python and its libraries as Debian packages them, and the locked
# dependencies. It changes only when requirements.lock does, so that it stays in the build cache.
set -eu
root=$1

# The interpreter, its standard library and the shared libraries that they and the wheels load.
packages="base-files netbase tzdata media-types
    libc6 libgcc-s1 libstdc++6 libcrypt1 zlib1g libbz2-1.0 liblzma5 libzstd1 libexpat1 libffi8 libssl3 libsqlite3-0 libuuid1
    libpython3.11-minimal libpython3.11-stdlib python3.11-minimal"
mkdir -p "$root" /tmp/packages
cd /tmp/packages
# shellcheck disable=SC2086
apt-get download $packages
# dpkg is not in the image; scanners read the versions of its packages from status.d.
mkdir -p "$root/var/lib/dpkg/status.d"
for package in *.deb; do
    dpkg-deb --extract "$package" "$root"
    dpkg-deb --field "$package" >"$root/var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"
done
rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/locale" "$root/usr/share/lintian" \
    "$root/usr/share/zoneinfo/right" "$root/usr/share/zoneinfo/posix" \
    "$root/usr/lib/python3.11/ensurepip" "$root/usr/lib/python3.11/lib2to3" "$root/usr/lib/python3.11/pydoc_data"
mkdir -p "$root/etc/ssl/certs" "$root/data" "$root/tmp"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
chmod 1777 "$root/tmp"
chown 65532:65532 "$root/data"
echo 'root:x:0:0:root:/root:/sbin/nologin
healthreports:x:65532:65532:healthreports:/data:/sbin/nologin' >"$root/etc/passwd"
echo 'root:x:0:
healthreports:x:65532:' >"$root/etc/group"

# Python writes no compiled files here: finish.sh compiles what the server imports.
/usr/bin/python3.11 -m venv /opt/healthreports
/opt/healthreports/bin/pip install --no-cache-dir --no-compile --require-hashes --requirement /src/requirements.lock
