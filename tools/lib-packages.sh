# Debian packages: what is missing, and installing it. Needs lib.sh.
# shellcheck shell=bash

is_debian() {
  have apt-get && have dpkg-query
}

package_is_installed() {
  [[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

# Prints those of its arguments that are not installed, on one line.
missing_packages() {
  local package missing=()
  for package in "$@"; do
    package_is_installed "$package" || missing+=("$package")
  done
  printf '%s\n' "${missing[*]}"
}

# Prints the command that lets this user install packages: nothing for root, 'sudo' for others.
root_command() {
  if (( EUID == 0 )); then
    return 0
  fi
  have sudo || return 1
  if [[ -t 0 ]]; then
    printf 'sudo\n'
  else
    printf 'sudo -n\n'  # nobody could type the password
  fi
}

apt_install() {
  local prefix log
  prefix=$(root_command) ||
    die "no right to install packages (not root, no sudo); ask an administrator for: apt-get install $*"
  log=$(mktemp)
  say "installing $# Debian packages: $*"
  # shellcheck disable=SC2086  # the prefix is nothing, one word or two
  if ! { $prefix apt-get update -q &&
         $prefix env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; } \
       >"$log" 2>&1; then
    { grep '^[EW]: ' "$log" || cat "$log"; } | tail -n 5 >&2
    rm -f -- "$log"
    die "apt-get could not install the packages (its last lines are above): check network, rights and disk," \
        "or install them by hand: apt-get install $*"
  fi
  say "$(grep -o '[0-9.,]* .B of additional disk space' "$log" || echo 'no additional disk space') taken by the packages"
  rm -f -- "$log"
}

# ensure_packages <yes|no: may install> <packages...>
ensure_packages() {
  local may_install=$1 missing list
  shift
  if ! is_debian; then
    say "this is no Debian-like system; these packages (Debian's names) are needed: $*"
    return 0
  fi
  missing=$(missing_packages "$@")
  if [[ -z "$missing" ]]; then
    say "all $# Debian packages are installed"
  elif [[ "$may_install" == no ]]; then
    say "these Debian packages are missing and were not installed, as asked: $missing"
  else
    read -r -a list <<<"$missing"
    apt_install "${list[@]}"
  fi
}
