# LibTorch in .deps/, made of pinned wheels. Needs lib.sh and lib-wheels.sh.
# shellcheck shell=bash disable=SC2034,SC2154
# (variables of the files sourced before, and columns of the list that a loop does not use)

torch_version=$(awk '$2 == "torch" { print $3 }' "$wheel_list")
torch_folder="$lowbit_root/.deps/torch-$torch_version"

# The stamp names the set and the hashes that lie unpacked: other pins, other stamp.
torch_stamp() {
  printf '%s\n' "$1"
  if [[ "$1" == cuda ]]; then wheels_of cpu cuda; else wheels_of cpu; fi | awk '{ print $2, $3, $5 }'
}

# torch_is_ready <cpu|cuda>: what CUDA needs serves the CPU as well
torch_is_ready() {
  local stamp="$torch_folder/.lowbit-stamp"
  [[ -f "$stamp" ]] || return 1
  [[ "$(<"$stamp")" == "$(torch_stamp cuda)" ]] || [[ "$(<"$stamp")" == "$(torch_stamp "$1")" ]]
}

# The headers, and the libraries that linking torch_cpu and c10 draws in.
unpack_torch_cpu() {
  local set name version size hash
  while read -r set name version size hash; do
    case "$name" in
      torch) take_out "$name" "$version" "$1" 'torch/include/*' torch/lib/libtorch_cpu.so torch/lib/libc10.so \
               torch/lib/libgomp.so.1 '*/licenses/*' ;;
      nvidia-cuda-runtime) take_out "$name" "$version" "$1" '*/libcudart.so.13' '*/licenses/*' ;;
      nvidia-cuda-cupti) take_out "$name" "$version" "$1" '*/libcupti.so.13' '*/licenses/*' ;;
      *) die "tools/wheels.txt: no rule says what to take out of '$name'" ;;
    esac
  done < <(wheels_of cpu)
  say "left out, since nothing on the CPU loads it: torch's CUDA and Python libraries, its Python files, ptxas"
}

unpack_torch_cuda() {
  local set name version size hash
  while read -r set name version size hash; do
    take_out "$name" "$version" "$1" '*'
  done < <(wheels_of cpu cuda)
}

# A library that the wheels stopped bringing shows here and not at the first run. The driver comes with the GPU.
require_loadable() {
  local missing
  missing=$(ldd "$1" | awk '/not found/ && $1 !~ /^libcuda\.so/ { printf "%s ", $1 }')
  [[ -z "$missing" ]] || die "'$1' needs libraries that were not found: $missing"
}

# unpack_torch <cpu|cuda> <megabytes it takes>
unpack_torch() {
  local temporary="$torch_folder.tmp.$$" old="$torch_folder.old.$$"
  rm -rf -- "$torch_folder".tmp.* "$torch_folder".old.*  # of a set-up that was killed; the lock is ours
  require_disk "$lowbit_root/.deps" "$2" "unpacking LibTorch $torch_version"
  say "unpacking LibTorch $torch_version ($1) into '$torch_folder'"
  mkdir -- "$temporary"
  "unpack_torch_$1" "$temporary"
  require_loadable "$temporary/torch/lib/libtorch_cpu.so"
  if [[ "$1" == cuda ]]; then
    require_loadable "$temporary/torch/lib/libtorch_cuda.so"
  fi
  torch_stamp "$1" >"$temporary/.lowbit-stamp"
  [[ ! -e "$torch_folder" ]] || mv -- "$torch_folder" "$old"
  mv -- "$temporary" "$torch_folder"
  rm -rf -- "$old"
}
