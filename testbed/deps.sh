#!/bin/sh
# Installs redis-server with the system's package manager if no Redis can be had
# otherwise and we may. Never fails: without a Redis a stand-in is used, and
# said to be one. (etcd needs nothing: it is built from source.)

redis_image=redis:7.4-alpine # as in images/versions.go; a test compares them

say() { echo "deps: $*"; }

[ -n "$LOCKER_TEST_REDIS" ] && exit 0
command -v redis-server >/dev/null 2>&1 && exit 0

limited() { # seconds, command: bounded where the system has timeout(1)
	seconds=$1
	shift
	if command -v timeout >/dev/null 2>&1; then timeout "$seconds" "$@"; else "$@"; fi
}

if command -v docker >/dev/null 2>&1 && limited 5 docker info >/dev/null 2>&1; then
	docker image inspect "$redis_image" >/dev/null 2>&1 && exit 0
	limited 120 docker pull -q "$redis_image" >/dev/null 2>&1 && exit 0
fi

advice="install redis-server (7 or later), start Docker, or set LOCKER_TEST_REDIS=host:port"
if ! command -v apt-get >/dev/null 2>&1; then
	say "no Redis here: $advice"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	say "no Redis here, and only root may install one: sudo apt-get install redis-server; or $advice"
	exit 0
fi

say "installing redis-server with apt-get"
# A file that forbids starting services keeps the package from running a Redis
# of its own on the usual port.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
	trap 'rm -f "$policy"' EXIT INT TERM
fi
install() {
	DEBIAN_FRONTEND=noninteractive limited 180 apt-get install -y -qq --no-install-recommends redis-server >/dev/null 2>&1
}
install || { limited 120 apt-get update -qq >/dev/null 2>&1 && install; }
if command -v redis-server >/dev/null 2>&1; then
	say "installed $(redis-server --version | cut -d' ' -f1-3)"
else
	say "apt-get could not install redis-server: $advice"
fi
exit 0
