#!/usr/bin/env bash
# Checks what is in deploy/, each file with its own tool: `tests/packaging.sh PROGRAM`. Prints one line for each check and a
# summary like cargo's. A check whose tool is not there is ignored, and named. ./test runs this as the part `packaging`.
#
# HADOLINT, CHART_TOOL and KUBECTL_VALIDATE name the tools; tests/machine.sh fetches the first and builds the others.
set -uo pipefail
cd "$(dirname "$0")/.."
program=${1:?which program}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 ignored=0
not_run=()

# `check WHAT TOOL COMMAND...`: passes when the command succeeds.
check() {
  local what=$1 tool=$2
  shift 2
  if [[ -n $tool && ! -e $tool ]] && ! command -v "$tool" >/dev/null; then
    echo "test packaging: $what ... NOT RUN: $tool is not here"
    not_run+=("$what ($(basename "$tool") is not here)")
    ignored=$((ignored + 1))
  elif "$@" >"$work/output" 2>&1; then
    echo "test packaging: $what ... ok"
    passed=$((passed + 1))
  else
    echo "test packaging: $what ... FAILED"
    sed 's/^/    /' "$work/output"
    failed=$((failed + 1))
  fi
}

# systemd only warns of an unknown key, so any output is a failure. The program need not be installed.
unit_is_valid() {
  mkdir -p "$work/unit"
  sed -e 's#/usr/bin/countersign#/bin/true#; /^Documentation=/d' deploy/systemd/countersign.service >"$work/unit/countersign.service"
  local output
  output=$(systemd-analyze verify "$work/unit/countersign.service" 2>&1) && [[ -z $output ]] || { echo "$output"; return 1; }
}
unit_is_hardened() { systemd-analyze security --no-pager --offline=true --threshold=15 deploy/systemd/countersign.service; }

chart=deploy/helm/countersign
values=(tests/packaging/values-dex.yaml tests/packaging/values-all.yaml)
chart_renders() {
  local file
  for file in "${values[@]}"; do
    "$chart_tool" "$chart" release identity "$file" >"$work/$(basename "$file")" || return 1
  done
  "$chart_tool" "$chart" release identity >/dev/null || return 1
  printf 'replicaCoutn: 2\n' >"$work/unknown.yaml"
  ! "$chart_tool" "$chart" release identity "$work/unknown.yaml" >/dev/null 2>&1 || { echo "an unknown value is accepted"; return 1; }
}
# What the chart writes into its Secret is a configuration that the program accepts, where environment variables are set.
chart_configuration_is_accepted() {
  python3 tests/packaging/secret.py "$work/values-dex.yaml" >"$work/config.yaml" || return 1
  DB_PASSWORD=x GITHUB_CLIENT_ID=x GITHUB_CLIENT_SECRET=x "$program" check "$work/config.yaml"
}
# kubectl-validate knows Kubernetes' own kinds alone.
manifests_are_valid() {
  mkdir -p "$work/manifests"
  local rendered
  rendered=$(compgen -G "$work/values-*.yaml")
  # shellcheck disable=SC2086 # names without spaces
  python3 tests/packaging/split.py "$work/manifests" deploy/kubernetes/countersign.yaml $rendered || return 1
  "$kubectl_validate" "$work/manifests"
}
package_is_built() {
  deploy/debian/build.sh "$program" "$work" || return 1
  local contents
  contents=$(dpkg-deb --contents "$work"/countersign_*.deb) || return 1
  for path in usr/bin/countersign lib/systemd/system/countersign.service usr/share/man/man1/countersign-serve.1.gz \
    usr/share/bash-completion/completions/countersign; do
    grep -q " ./$path$" <<<"$contents" || { echo "$path is not in it"; return 1; }
  done
}
completions_are_shell() { "$program" generate completions bash | bash -n; }
# A root file system as the image has it: read-only but for the data, no capabilities, a numeric user. The program serves
# there, started by Dex's name and arguments, and its health check succeeds.
program_serves_in_the_image() {
  local root=$work/rootfs address library inside
  address=127.$((32 + RANDOM % 32)).$((1 + RANDOM % 250)).$((1 + RANDOM % 250))
  mkdir -p "$root"/{usr/local/bin,proc,dev,tmp,etc/dex,var/lib/countersign}
  cp "$program" "$root/usr/local/bin/countersign"
  ln -s countersign "$root/usr/local/bin/dex"
  while read -r library; do
    install -D "$library" "$root$library"
  done < <(ldd "$program" | grep -o '/[^ ]*')
  cat >"$root/etc/dex/config.yaml" <<CONFIG
issuer: http://$address:5556/dex
storage:
  type: sqlite3
  config:
    file: /var/lib/countersign/countersign.db
web:
  http: $address:5556
telemetry:
  http: $address:5558
enablePasswordDB: true
CONFIG
  if bwrap --ro-bind / / --unshare-all true 2>/dev/null || [[ $(id -u) != 0 ]]; then
    inside=(bwrap --ro-bind "$root" / --bind "$root/var/lib/countersign" /var/lib/countersign --proc /proc --dev /dev
      --unshare-all --share-net --uid 65532 --gid 65532 --cap-drop ALL --die-with-parent --clearenv)
  else
    # Inside a chroot the kernel creates no namespaces. There the numeric user, who has no capabilities, may write nowhere else.
    chown -R 0:0 "$root" && chmod -R go-w "$root" && chown 65532:65532 "$root/var/lib/countersign"
    inside=(chroot --userspec=65532:65532 "$root")
  fi
  "${inside[@]}" /usr/local/bin/dex version || return 1
  "${inside[@]}" /usr/local/bin/dex serve /etc/dex/config.yaml &
  local server=$! status=1
  for ((n = 0; n < 300; n++)); do
    if "$program" healthcheck "$root/etc/dex/config.yaml" 2>/dev/null; then
      status=0
      break
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  # The data is in the one folder that may be written.
  [[ -s $root/var/lib/countersign/countersign.db ]] || status=1
  kill -KILL "$server" 2>/dev/null
  wait "$server" 2>/dev/null
  return "$status"
}

hadolint=${HADOLINT:-hadolint} chart_tool=${CHART_TOOL:-chart} kubectl_validate=${KUBECTL_VALIDATE:-kubectl-validate}
check "Dockerfile" "$hadolint" "$hadolint" deploy/docker/Dockerfile
check "the program serves in a root file system like the image's" bwrap program_serves_in_the_image
check "systemd unit" systemd-analyze unit_is_valid
check "systemd unit: exposure" systemd-analyze unit_is_hardened
check "chart: lint and template" "$chart_tool" chart_renders
check "chart: its configuration" "$chart_tool" chart_configuration_is_accepted
check "manifests" "$kubectl_validate" manifests_are_valid
check "Debian package" dpkg-deb package_is_built
check "shell completions" "" completions_are_shell
for what in ${not_run[@]+"${not_run[@]}"}; do echo "NOT RUN: packaging: $what"; done
echo "test result: $([[ $failed == 0 ]] && echo ok || echo FAILED). $passed passed; $failed failed; $ignored ignored"
((failed == 0))
