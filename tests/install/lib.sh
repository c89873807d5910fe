# For the tests of the installed tree. Each is called with the build folder, the source folder, the LibTorch folder, the
# compiler and the folder of the installed tree, and works in a folder of its own.
# shellcheck shell=bash
set -uo pipefail

# shellcheck disable=SC2034  # the tests that source this use them
build_folder=$1 torch_folder=$3 prefix=$5
export CXX=$4
program=$prefix/bin/lowbit
set -- "$program" "$2"
# shellcheck source=tests/cli/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../cli/lib.sh"
# shellcheck source=tests/support/tiny_model.sh
source "$source_folder/tests/support/tiny_model.sh"
unset LOWBIT_TORCH_DIR LD_LIBRARY_PATH

# does <command>: it must succeed; its streams are left in out and err
does() {
  last_command="(that is) $*"
  status=0
  "$@" >out 2>err || status=$?
  expect_status 0
  return "$status"
}

# configures <source folder> <build folder> <options>: against the installed package
configures() {
  does cmake -G Ninja -S "$1" -B "$2" -DCMAKE_BUILD_TYPE=Release "-DCMAKE_PREFIX_PATH=$prefix" "${@:3}"
}
