#!/usr/bin/env bash
# Measures this machine's limits and onecast beside them: ./tests/bench.sh [--help]
#
# Tables on stdout (--json: one object a line), progress on stderr. Needs root for the networks
# that it makes of namespaces; all its traffic stays in them. Nothing here passes or fails.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${ONECAST_BIN:-}" ] || cargo build --release --bins --quiet
export ONECAST_BIN=${ONECAST_BIN:-$(realpath "${CARGO_TARGET_DIR:-target}")/release}
exec cargo bench --quiet -p tests --bench bench -- "$@"
