#!/bin/sh
# Builds the image where there is no Docker engine, and runs its own checks inside it.
#
# Debian's buildah and debootstrap (and root) are all it needs. It stands in for `docker build`: the
# base is a plain Debian with Python instead of the official Python image, so what this does not
# prove is that base, the Arm build, and the push to ECR.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
container=
cleanup() {
    [ -z "$container" ] || buildah rm "$container" >/dev/null
    buildah rmi -f localhost/taskfleet-proof localhost/taskfleet-proof-base >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT INT TERM

for tool in buildah debootstrap; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install buildah debootstrap" >&2; exit 2; }
done

echo "== base: debootstrap with python3"
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base" >"$work/log" 2>&1 \
    || { tail -5 "$work/log" >&2; exit 1; }
ln -sf python3 "$work/base/usr/bin/python"
# A machine behind its own certificate authority trusts it in the base, as a company's base would.
[ -z "${SSL_CERT_FILE:-}" ] || cp -L "$SSL_CERT_FILE" "$work/base/etc/ssl/certs/ca-certificates.crt"
printf 'FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin:/usr/bin:/bin PIP_CERT=/etc/ssl/certs/ca-certificates.crt\n' >"$work/Dockerfile"
buildah bud -q -f "$work/Dockerfile" -t localhost/taskfleet-proof-base "$work/base" >/dev/null

echo "== image: worker_image/Dockerfile"
buildah bud -q --ignorefile "$here/.dockerignore" --build-arg BASE=localhost/taskfleet-proof-base \
    -t localhost/taskfleet-proof "$here" >/dev/null

echo "== inside it"
container=$(buildah from localhost/taskfleet-proof)
inside() { buildah run "$container" -- "$@"; }
test "$(inside id -u)" = 10001
# The image's own user can't write anywhere but /tmp; ECS mounts the rest read-only on top of that.
inside sh -c '! touch /opt/taskfleet/x 2>/dev/null && touch /tmp/x'
inside python -c 'import taskfleet.contract.names, sys; assert "celery" not in sys.modules'
inside python -c 'import taskfleet.installing, taskfleet.brokers.redis, taskfleet.brokers.sqs, gevent'
inside python -m taskfleet --help | head -5
# Operators run `fleet` from a checkout, as themselves; a container's role may do next to nothing of it.
inside sh -c '! command -v fleet'
inside python -m taskfleet image "${APP:-example_tasks.app:app}"
mounted=$(buildah mount "$container")
echo "size added to the base: $(du -sm "$mounted/opt/taskfleet" | cut -f1) MiB"
buildah umount "$container" >/dev/null
echo "the image builds, is not root, and imports everything it runs"
