#!/usr/bin/env bash
# Packs a program, has lintian look at it, and installs, removes and purges it in a root of its own.
#
#   bash .ci/deb.sh target/debug/cdrveil target/ci/deb
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1 out=$2
rm -rf "$out"
package=$(bash tools/deb.sh "$program" "$out")
bash tools/deb.sh "$program" "$out/again" >/dev/null
cmp "$package" "$out/again/$(basename "$package")" # the same input, the same bytes

lintian --allow-root --fail-on error,warning "$package"

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}
root=$(mktemp -d)
trap 'as_root rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir -p "$root"/var/lib/dpkg/{info,updates,triggers} "$root/etc"
touch "$root/var/lib/dpkg/status" "$root/etc/passwd" "$root/etc/group"
# Its scripts run here, told by DPKG_ROOT where they are meant for.
# Some machines leave documentation out of what they install.
in_root() { as_root dpkg --path-include='/usr/share/*' --root="$root" --force-script-chrootless --force-depends "$@" >"$out/dpkg.log" 2>&1 || { cat "$out/dpkg.log" >&2; return 1; }; }
fail() { echo "Debian package: $*" >&2; exit 1; }

in_root -i "$package"
expected=$(cat <<'END'
755 root:root /usr/bin/cdrveil
644 root:root /lib/systemd/system/cdrveil.service
644 root:root /usr/lib/sysusers.d/cdrveil.conf
644 root:root /etc/cdrveil/cdrveil.toml
644 root:root /etc/cdrveil/policy.toml
644 root:root /etc/cdrveil/keyring.toml
644 root:root /usr/share/man/man1/cdrveil-run.1.gz
644 root:root /usr/share/bash-completion/completions/cdrveil
644 root:root /usr/share/doc/cdrveil/operations.md
END
)
found=$(sed 's/.* //' <<<"$expected" | while read -r file; do stat -c "%a %U:%G $file" "$root$file"; done)
diff <(echo "$expected") <(echo "$found")
grep -q '^cdrveil:' "$root/etc/passwd" || fail "no user"
[ ! -e "$root/etc/systemd/system/multi-user.target.wants/cdrveil.service" ] || fail "the unit is enabled"
"$root/usr/bin/cdrveil" --version
pages=$(find "$root/usr/share/man/man1" -name '*.1.gz')
for page in $pages; do
  warnings=$(man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null)
  [ -z "$warnings" ] || fail "$page: $warnings"
done

# The unit's own faults; which other units this machine lacks is not one.
sed "s|/usr/bin/cdrveil|$root/usr/bin/cdrveil|; s|^User=.*|User=root|; s|^Group=.*|Group=root|" \
  "$root/lib/systemd/system/cdrveil.service" >"$out/cdrveil.service"
said=$(systemd-analyze verify --man=no --recursive-errors=no "$out/cdrveil.service" 2>&1) || fail "the unit is refused: $said"
[ -z "$said" ] || fail "the unit: $said"

as_root sh -c "echo '# ours' >>'$root/etc/cdrveil/policy.toml'"
in_root -i "$package"
grep -q '^# ours' "$root/etc/cdrveil/policy.toml" || fail "an edited file was overwritten"
in_root -r cdrveil
[ ! -e "$root/usr/bin/cdrveil" ] && [ -e "$root/etc/cdrveil/policy.toml" ] || fail "remove takes the program and leaves the files"
in_root -P cdrveil
left=$(cd "$root" && find . -type f -path '*cdrveil*')
[ -z "$left" ] || fail "purged, and still there: $left"
echo "$(basename "$package"): $(stat -c %s "$package") bytes, $(wc -w <<<"$pages") manual pages, installed, removed, purged"
