# For the tests that end the program in the middle of its work; comes after lib.sh.
# shellcheck shell=bash
export XDG_CACHE_HOME=$work/cache  # where evaluate keeps what is unfinished
recipe='[{gptq: {bits: 4, group: 4, act_order: true}}]'
calibration='{dataset: ./text.txt, samples: 48, length: 256}'
evaluation='{perplexity: {dataset: ./text.txt, protocol: gptq-64, limit: 60}}'

# begin <arguments>: starts the program beside us; $child is its process
begin() {
  last_command=$*
  "$program" "$@" --threads 1 >out 2>err &
  child=$!
}

# finished: waits for $child and leaves its exit status in $status
finished() {
  status=0
  wait "$child" 2>/dev/null || status=$?
}

alive() { kill -0 "$child" 2>/dev/null; }

# when <command>: waits until the command succeeds while $child lives; fails when it ended before
when() {
  until "$@"; do
    alive || return 1
    sleep 0.01
  done
}

# blocks_done <folder> <count>: shards of the artifacts in it, or of the artifact that it is
blocks_done() {
  local -a shards
  shopt -s nullglob
  shards=("$1"/model-*.safetensors "$1"/*/model-*.safetensors)
  (( ${#shards[@]} >= $2 ))
}

# gone <process>: it has ended, within a minute
gone() {
  for _ in $(seq 600); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  return 1
}

# worker_of <process>: the child that does the work, if there is one
worker_of() {
  local children
  { children=$(<"/proc/$1/task/$1/children"); } 2>/dev/null
  printf '%s' "${children%% *}"
}

# content_of <folder>: what an artifact is, without the times that its reports hold
content_of() { (cd -- "$1" && sha256sum -- *.safetensors *.json); }

# left_behind: temporary files and folders of work that is finished
left_behind() {
  find . \( -name '.*.part-*' -o -path '*/unfinished/*' \) -print
}

# working: the run that is $child has a worker
working() { [[ -n $(worker_of "$child") ]]; }

experiment() {
  cat >"$1.yaml" <<YAML
name: $1
models: [$stories]
calibrations: [{name: mine, dataset: ./text.txt, samples: 48, length: 256}]
recipes:
  rtn: [{rtn: {bits: 3, group: 4}}]
  gptq: $recipe
evaluations: [$evaluation]
store: $1-store
YAML
}
