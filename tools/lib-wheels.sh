# Pinned wheels: download by hash into the user's cache, and what is taken out of them. Needs lib.sh.
# Python is only the downloader: pip knows the registry, its mirrors and the proxy settings of this machine.
# shellcheck shell=bash disable=SC2034,SC2154
# (variables of the files sourced before, and columns of the list that a loop does not use)

wheel_list="$lowbit_root/tools/wheels.txt"
# The same files under any Python: these settings name the wheels' platform instead of this machine's.
wheel_platform=(--only-binary=:all: --implementation cp --python-version 311 --abi cp311 --abi none)
for tag in _2_28 _2_27 _2_25 _2_18 _2_17 _2_12 _2_5 2014; do
  wheel_platform+=(--platform "manylinux${tag}_x86_64")
done
unset tag

# wheels_of <sets...>: their lines of the list
wheels_of() {
  local set
  for set in "$@"; do
    awk -v set="$set" '$1 == set' "$wheel_list"
  done
}

# wheel_path <name> <version>: the downloaded file, or nothing
wheel_path() {
  local found
  for found in "$downloads/${1//-/_}-$2-"*.whl; do
    [[ ! -f "$found" ]] || printf '%s\n' "$found"
  done
}

# Prints the lines of the wheels that are not in the cache. A file with another hash is removed: it is damaged.
missing_wheels() {
  local set name version size hash path
  while read -r set name version size hash; do
    path=$(wheel_path "$name" "$version")
    if [[ -n "$path" ]] && has_sha256 "$path" "$hash"; then
      continue
    fi
    if [[ -n "$path" ]]; then
      say "'$path' is damaged (its SHA-256 is not the pinned one); it is fetched again" >&2
      rm -f -- "$path"
    fi
    printf '%s %s %s %s %s\n' "$set" "$name" "$version" "$size" "$hash"
  done < <(wheels_of "$@")
}

python_with_pip() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      printf '%s\n' "$python"
      return 0
    fi
  done
  return 1
}

# fetch_wheels <lines as missing_wheels prints them>
fetch_wheels() {
  local python temporary megabytes quiet=(--quiet)
  [[ -n "$1" ]] || return 0
  python=$(python_with_pip) || die "no python3 with pip was found, which fetches the wheels; install pip for python3"
  megabytes=$(awk '{ sum += $4 } END { print sum }' <<<"$1")
  require_disk "$downloads" $(( 2 * megabytes + 50 )) "downloading $megabytes MB"
  say "downloading $megabytes MB into '$downloads':" "$(awk '{ printf "%s%s %s", sep, $2, $3; sep = ", " }' <<<"$1")"
  temporary=$(mktemp -d -- "$downloads/.tmp.XXXXXX")
  awk '{ printf "%s==%s --hash=sha256:%s\n", $2, $3, $5 }' <<<"$1" >"$temporary/requirements.txt"
  [[ ! -t 1 ]] || quiet=()
  if ! TMPDIR="$temporary" "$python" -m pip download "${quiet[@]}" --disable-pip-version-check --no-cache-dir \
       --retries 3 --no-deps --require-hashes "${wheel_platform[@]}" \
       --dest "$temporary" --requirement "$temporary/requirements.txt" 2>"$temporary/log"; then
    { grep '^ERROR' "$temporary/log" || cat "$temporary/log"; } | tail -n 4 >&2
    rm -rf -- "$temporary"
    die "the download failed (pip's last lines are above): check the network, the proxy and the disk," \
        "then run this again"
  fi
  mv -f -- "$temporary"/*.whl "$downloads/"
  rm -rf -- "$temporary"
}

# take_out <wheel name> <version> <into, a folder of this process's own> <patterns...>
# Without a standard input unzip asks nobody whether to go on with a full disk. What it wrote goes, to leave room.
take_out() {
  local wheel
  wheel=$(wheel_path "$1" "$2")
  if ! unzip -q -o "$wheel" "${@:4}" -d "$3" </dev/null; then
    rm -rf -- "$3"
    die "'$wheel' could not be unpacked into '$3'; is the disk full? Make room and run this again"
  fi
}
