#!/usr/bin/env bash
# Builds a Debian package of a program that has been built already: `deploy/debian/build.sh [PROGRAM] [FOLDER]`.
# Needs dpkg-deb. PROGRAM defaults to target/dist/countersign, FOLDER (of the package) to target.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=${1:-target/dist/countersign}
into=${2:-target}
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

install -D -m 0755 "$program" "$root/usr/bin/countersign"
install -D -m 0644 deploy/systemd/countersign.service "$root/lib/systemd/system/countersign.service"
install -D -m 0644 config.example.yaml "$root/usr/share/doc/countersign/config.example.yaml"
install -D -m 0644 LICENSE "$root/usr/share/doc/countersign/copyright"
gzip -9n <CHANGELOG.md >"$root/changelog.gz"
install -m 0644 "$root/changelog.gz" "$root/usr/share/doc/countersign/changelog.gz"
rm "$root/changelog.gz"
install -d "$root/usr/share/man/man1"
"$program" generate man "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1
install -d "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
  "$root/usr/share/fish/vendor_completions.d"
"$program" generate completions bash >"$root/usr/share/bash-completion/completions/countersign"
"$program" generate completions zsh >"$root/usr/share/zsh/vendor-completions/_countersign"
"$program" generate completions fish >"$root/usr/share/fish/vendor_completions.d/countersign.fish"

install -d "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: countersign
Version: $version
Architecture: $architecture
Maintainer: The Countersign authors <root@localhost>
Section: net
Priority: optional
Depends: libc6, libgcc-s1, ca-certificates, adduser
Installed-Size: $(du -ks "$root" | cut -f 1)
Description: OpenID Connect identity provider
 Checks people with the accounts they already have (LDAP, GitHub, Google, any
 OpenID Connect provider), issues tokens that Kubernetes and other clients
 accept, and lets an administrator see and end every session. Reads Dex's
 configuration.
CONTROL
cat >"$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
  adduser --quiet --system --group --home /var/lib/countersign --no-create-home countersign
  install -d -m 0750 -o root -g countersign /etc/countersign
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    # A running server is replaced; one that was never configured is not started.
    systemctl try-restart countersign.service || true
  fi
fi
POSTINST
cat >"$root/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now countersign.service || true
fi
PRERM
chmod 0755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
# gzip: every dpkg reads it, and xz takes a minute and a half for a debug build.
dpkg-deb -Zgzip --root-owner-group --build "$root" "$into/countersign_${version}_$architecture.deb"
