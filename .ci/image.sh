#!/usr/bin/env bash
# Builds the last stage of the Dockerfile over a static program, without an engine, and starts the program in it.
#
#   bash .ci/image.sh target/x86_64-unknown-linux-musl/debug/cdrveil target/ci/image
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1 out=$2
fail() { echo "image: $*" >&2; exit 1; }
readelf --program-headers "$program" | grep -q INTERP && fail "$program asks for a loader, which an empty image does not have"
rm -rf "$out"
mkdir -p "$out"
install -D -m 755 --strip "$program" "$out/out/usr/local/bin/cdrveil"
install -d -o 65532 -g 65532 "$out/out/var/lib/cdrveil"
# The stage as it stands, but for where its files come from.
sed -n '/^FROM scratch/,$p' Dockerfile | sed 's|^COPY --from=build |COPY |' >"$out/Dockerfile"
grep -q '^COPY /out/ /$' "$out/Dockerfile" || fail "the last stage copies something else"

store=$(mktemp -d)
containers=(buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs)
trap '"${containers[@]}" unshare rm -rf "$store" 2>/dev/null || rm -rf "$store"' EXIT
"${containers[@]}" bud --isolation chroot --quiet --tag cdrveil:ci --file "$out/Dockerfile" "$out" >/dev/null
"${containers[@]}" push --quiet cdrveil:ci "oci-archive:$out/cdrveil.tar" >/dev/null
config=$(skopeo inspect --config "oci-archive:$out/cdrveil.tar")
python3 - "$config" <<'END'
import json, sys
config = json.loads(sys.argv[1])["config"]
assert config["User"] == "65532:65532", config
assert config["Entrypoint"] == ["/usr/local/bin/cdrveil"], config
assert config["Cmd"] == ["run", "--config", "/etc/cdrveil/cdrveil.toml"], config
assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0 OR MIT", config
END
box=$("${containers[@]}" from --pull-never cdrveil:ci)
began=$(date +%s%N)
said=$("${containers[@]}" run --isolation chroot "$box" /usr/local/bin/cdrveil --version)
took=$((($(date +%s%N) - began) / 1000000))
[[ $said == "cdrveil "* ]] || fail "the program says: $said"
"${containers[@]}" run --isolation chroot "$box" /usr/local/bin/cdrveil keys selftest
echo "image: $(stat -c %s "$out/cdrveil.tar") bytes packed, $(stat -c %s "$out/out/usr/local/bin/cdrveil") the program, first words after $took ms"
