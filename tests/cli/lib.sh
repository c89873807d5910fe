# For the tests of the program. Each is called with the program and the source folder, and works in a folder of its own.
# shellcheck shell=bash
set -uo pipefail

program=$1
source_folder=$2
test_data=${LOWBIT_TEST_DATA:-$source_folder/../shared}
# shellcheck disable=SC2034  # the tests that source this use it
golden_model=$source_folder/tests/golden/model/mha-untied-bfloat16  # without a tokenizer
stories=$test_data/models/stories260K
failures=0
status=0

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd -- "$work" || exit 1
export XDG_CONFIG_HOME=$work/config  # no plugins of whoever runs the tests
unset LOWBIT_CONFIG

skip() {
  printf 'skipped: %s\n' "$*"
  exit 77
}

need_stories() {
  [[ -f $stories/model.safetensors ]] || skip "'$stories' has no model; LOWBIT_TEST_DATA names the folder of test data"
  [[ -f $test_data/data/tinyshakespeare/input.txt ]] || skip "'$test_data' has no data/tinyshakespeare/input.txt"
}

# complain <what>: a failure, with all that the last call printed
complain() {
  failures=$(( failures + 1 ))
  printf 'FAILED: %s\n  command: lowbit %s\n  status %s\n' "$1" "${last_command:-}" "$status"
  sed 's/^/  out: /' out
  sed 's/^/  err: /' err
}

# lowbit <arguments>: runs the program; leaves its streams in out and err, its exit status in $status
lowbit() {
  last_command=$*
  status=0
  "$program" "$@" >out 2>err || status=$?
}

expect_status() { [[ $status == "$1" ]] || complain "expected exit status $1"; }
expect_out() { grep -qF -- "$1" out || complain "expected on standard output: $1"; }
expect_err() { grep -qF -- "$1" err || complain "expected on standard error: $1"; }
expect_no_err() { ! grep -qF -- "$1" err || complain "not expected on standard error: $1"; }
expect() { "${@:2}" || complain "$1"; }  # expect <claim> <command that succeeds if it holds>

# fails <status> <text> <arguments>: the program ends with the status, and "error: ... <text> ..." on standard error
fails() {
  lowbit "${@:3}"
  expect_status "$1"
  expect_err "$2"
  [[ $(head -c 7 err) == 'error: ' ]] || complain "expected standard error to begin with 'error: '"
}

succeeds() {
  lowbit "$@"
  expect_status 0
}

# write_text <bytes>: paragraphs, of which four fifths calibrate and the last fifth is scored
write_text() { head -c "$1" "$test_data/data/tinyshakespeare/input.txt" >text.txt; }

# write_experiment <file>: five cells on stories260K; 172 columns of the feed-forward layers are no multiple of 8
write_experiment() {
  cat >"$1" <<YAML
name: small
models: [$stories]
calibrations: [{name: mine, dataset: ./text.txt, samples: 4, length: 64}]
recipes:
  rtn: [{rtn: {bits: {sweep: [4, 3]}, group: 4}}]
  gptq: [{gptq: {bits: {sweep: [4, 3]}, group: 4}}]
evaluations: [{perplexity: {dataset: ./text.txt, protocol: gptq-64, limit: 4}}]
YAML
}

# what_was_measured <results.json>: everything but time and memory
what_was_measured() { grep -vE '"(seconds|peak_memory_bytes|peak_anonymous_bytes)"' "$1"; }

# perplexity_of <json> [recipe]: the first value behind the recipe's line
perplexity_of() {
  awk -v recipe="${2:+\"recipe\": \"$2\"}" '
    index($0, recipe) { here = 1 }
    here && /"name": "perplexity"/ { getline; sub(/.*: /, ""); sub(/,$/, ""); print; exit }' "$1"
}

# partial_files <folder>: what an unfinished write left
partial_files() { find "$1" -name '.*.part-*' -print; }

finish() {
  (( failures == 0 )) || { printf '%s failures\n' "$failures"; exit 1; }
  exit 0
}
