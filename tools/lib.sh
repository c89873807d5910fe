# Shell helpers that the programs in tools/ share. Source it; it prints and changes nothing by itself.
# shellcheck shell=bash

lowbit_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
lowbit_program=$(basename -- "$0")

say() {
  printf '%s: %s\n' "$lowbit_program" "$*"
}

die() {
  printf '%s: error: %s\n' "$lowbit_program" "$*" >&2
  exit 1
}

have() {
  command -v "$1" >/dev/null 2>&1
}

# The comment block under the first line of the calling program is its help text.
print_help() {
  awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$0"
}

cache_dir() {
  if [[ -n "${XDG_CACHE_HOME:-}" ]]; then
    printf '%s/lowbit\n' "$XDG_CACHE_HOME"
  elif [[ -n "${HOME:-}" ]]; then
    printf '%s/.cache/lowbit\n' "$HOME"
  else
    die "neither XDG_CACHE_HOME nor HOME is set, so there is no place for downloads; set one of them"
  fi
}

make_folder() {
  mkdir -p -- "$1" 2>/dev/null || die "the folder '$1' cannot be made; check who owns the folder above it"
  [[ -w "$1" ]] || die "the folder '$1' cannot be written by user '$(id -un)'; change its owner or set XDG_CACHE_HOME"
}

# has_sha256 <file> <hash>
has_sha256() {
  [[ -f "$1" ]] && [[ "$(sha256sum -- "$1" | cut -d ' ' -f 1)" == "$2" ]]
}

free_megabytes() {
  df -Pm -- "$1" | awk 'NR == 2 { print $4 }'
}

# require_disk <folder> <megabytes> <what for>
require_disk() {
  local free
  free=$(free_megabytes "$1")
  (( free >= $2 )) || die "$3 needs $2 MB in '$1', which has $free MB free; make room and run this again"
}

# One set-up at a time for a user: two checkouts share the cache. The lock goes with the process.
take_lock() {
  have flock || return 0
  exec 9>"$1"
  if ! flock -n 9; then
    say "another set-up is running; waiting for it"
    flock 9
  fi
}

# As many jobs as cores, but 1.5 GB of memory for each: compiling against LibTorch takes that much.
job_count() {
  local cores memory_jobs
  cores=$(nproc)
  memory_jobs=$(awk '/^MemAvailable:/ { print int($2 / 1500000) }' /proc/meminfo 2>/dev/null || true)
  if [[ -n "$memory_jobs" ]] && (( memory_jobs < cores )); then
    cores=$(( memory_jobs > 0 ? memory_jobs : 1 ))
  fi
  printf '%s\n' "$cores"
}

# build_release [targets...]: configures and builds the preset 'release', by default all of it, tests too; does only
# what is out of date.
build_release() {
  local options=() targets=() jobs
  [[ $# == 0 ]] || targets=(--target "$@")
  jobs=$(job_count)
  [[ -z "${LOWBIT_TORCH_DIR:-}" ]] || options+=("-DLOWBIT_TORCH_DIR=$LOWBIT_TORCH_DIR")
  say "building into '$lowbit_root/build/release' with $jobs jobs"
  (cd -- "$lowbit_root" && cmake --preset release "${options[@]}" --log-level=WARNING) ||
    die "CMake could not configure the build; its message is above"
  (cd -- "$lowbit_root" && cmake --build --preset release --parallel "$jobs" "${targets[@]}") ||
    die "the build failed; the first error is above"
}
