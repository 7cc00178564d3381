#!/usr/bin/env bash
# Packs a built program as a Debian package: files, manual pages, completions, unit, user. CI packs its test build,
# a release its release build; nothing is compiled here, and the same input gives the same bytes.
#
#   cargo build --release && bash tools/deb.sh target/release/cdrveil target/debian
#
# Needs dpkg-dev and binutils. DEB_MAINTAINER names who answers for the package.
set -euo pipefail
program=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)-1
architecture=$(dpkg --print-architecture)
maintainer=${DEB_MAINTAINER:-cdrveil contributors <contributors@cdrveil.invalid>}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
umask 022

put() { install -D -m "$1" "$2" "$tree/$3"; }
packed() { gzip -9n >"$1.gz"; }

install -d "$tree/usr/bin"
strip --strip-unneeded -o "$tree/usr/bin/cdrveil" "$program"
chmod 755 "$tree/usr/bin/cdrveil"
put 644 config/systemd/cdrveil.service lib/systemd/system/cdrveil.service
put 644 config/systemd/sysusers.conf usr/lib/sysusers.d/cdrveil.conf
for file in cdrveil.toml policy.toml keyring.toml; do
  put 644 "config/$file" "etc/cdrveil/$file"
done

doc=usr/share/doc/cdrveil
for page in README.md SECURITY.md docs/*.md; do
  put 644 "$page" "$doc/$(basename "$page")"
done
put 644 config/debian/copyright "$doc/copyright"
put 644 config/debian/lintian-overrides usr/share/lintian/overrides/cdrveil
packed "$tree/$doc/changelog" <CHANGELOG.md
packed "$tree/$doc/changelog.Debian" <<END
cdrveil ($version) unstable; urgency=medium

  * Packaged by its authors; see changelog.gz.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END

"$program" man "$tree/usr/share/man/man1"
gzip -9n "$tree"/usr/share/man/man1/*
complete() {
  install -d "$tree/$(dirname "$2")"
  "$program" completions "$1" >"$tree/$2"
}
complete bash usr/share/bash-completion/completions/cdrveil
complete zsh usr/share/zsh/vendor-completions/_cdrveil
complete fish usr/share/fish/vendor_completions.d/cdrveil.fish

# Which libraries, and how new: dpkg's own tool asks for a source package, which this much is one for it.
mkdir -p "$work/source/debian"
printf 'Source: cdrveil\n\nPackage: cdrveil\nArchitecture: any\n' >"$work/source/debian/control"
# A static program needs none.
libraries=$(cd "$work/source" && dpkg-shlibdeps -O "$tree/usr/bin/cdrveil" 2>"$work/shlibdeps.log" | sed -n 's/^shlibs:Depends=//p')

install -d "$tree/DEBIAN"
for script in postinst prerm postrm; do
  install -m 755 "config/debian/$script" "$tree/DEBIAN/$script"
done
(cd "$tree" && find etc -type f | sort | sed 's|^|/|') >"$tree/DEBIAN/conffiles"
(cd "$tree" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
cat >"$tree/DEBIAN/control" <<END
Package: cdrveil
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size "$tree" | cut -f 1)
Depends: ${libraries:+$libraries, }systemd | systemd-standalone-sysusers | systemd-sysusers
Suggests: age
Section: net
Priority: optional
Description: Pseudonymises call detail records on Apache Kafka
 cdrveil is a daemon that lets billing work on call detail records (CDRs)
 without knowing who called whom. It replaces phone numbers and other
 subscriber identifiers with keyed HMAC pseudonyms, seals sensitive fields for
 those who may see them, and rejects, sealed, what it cannot read. It writes
 exactly once and fails closed.
END
find "$tree" -depth -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
package=$out/cdrveil_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$tree" "$package" >/dev/null
echo "$package"
