# The rules of the tree. Each prints one line "file:line: what is wrong" for each breach, with paths relative to the
# tree. The module list has a line for each module: its name, "torch" or "no-torch", all modules it may use.
# shellcheck shell=bash

# tree_files: every file of the tree that is, or could be, committed; without git or its folder, what is not built
tree_files() {
  if [[ -e .git ]] && git ls-files --error-unmatch CMakeLists.txt >/dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard
  else
    find . \( -path ./.git -o -path ./.deps -o -path ./build -o -path ./runs -o -path ./.cache \) -prune -o \
      -type f -printf '%P\n'
  fi | LC_ALL=C sort -u | while read -r file; do [[ ! -f "$file" ]] || printf '%s\n' "$file"; done
}

# Only the lines that match; none is no failure.
matching() {
  grep -E -- "$1" || true
}

source_files() {
  tree_files | matching '^(src|include|tools|tests)/.*\.(h|cpp|cu|cuh)$'
}

# Shell, Python and CMake, and the programs without a suffix
script_files() {
  tree_files | matching '^(tools|tests|cmake|\.ci)/(.*/)?([^/]*\.(sh|py|cmake)|[a-z_-]+)$|(^|/)CMakeLists\.txt$'
}

# Prints "file:line:kind:path" for each #include; kind is < or ".
includes_of() {
  # shellcheck disable=SC2016  # awk expands it
  xargs -r -d '\n' awk '
    /^[ \t]*#[ \t]*include[ \t]*[<"]/ {
      match($0, /[<"][^>"]*/)
      printf "%s:%d:%s:%s\n", FILENAME, FNR, substr($0, RSTART, 1), substr($0, RSTART + 1, RLENGTH - 1)
    }'
}

# rule_layering <module list>: a module sees itself and the modules that its CMake line names, directly or through them
rule_layering() {
  source_files | matching '^(src|include/lowbit)/' | includes_of | awk -F : -v list="$1" '
    BEGIN {
      while ((getline line < list) > 0) {
        count = split(line, word, " ")
        known[word[1]] = 1
        for (i = 3; i <= count; ++i) allowed[word[1], word[i]] = 1
      }
    }
    {
      depth = split($1, folder, "/")
      public = folder[1] == "include"
      module = public ? folder[3] : folder[2]
      if (depth == (public ? 3 : 2)) next  # include/lowbit/x.h belongs to no module
      split($4, part, "/")
      target = part[1] == "lowbit" ? part[2] : part[1]
      where = $1 ":" $2 ": "
      if (!(module in known)) print where "module '\''" module "'\'' has no lowbit_module() line"
      else if (public && part[1] in known) print where "public header includes the private header \"" $4 "\""
      else if (target in known && !((module, target) in allowed))
        print where "module '\''" module "'\'' may not use '\''" target "'\'': " $4
    }'
}

# rule_torch <module list>: what of LibTorch may be included where
rule_torch() {
  source_files | includes_of | awk -F : -v list="$1" '
    BEGIN {
      while ((getline line < list) > 0) {
        split(line, word, " ")
        torch[word[1]] = word[2] == "torch"
      }
    }
    $4 !~ /^(torch|ATen|c10)\// { next }
    {
      split($1, folder, "/")
      module = folder[1] == "include" ? folder[3] : folder[2]
      where = $1 ":" $2 ": "
      if ($4 ~ /^torch\/(torch|extension|all)\.h$/) print where "<" $4 "> costs 20 s a file; include what is used"
      else if ($4 ~ /^ATen\/(ops\/|ATen\.h|Functions\.h)/ && module != "tensor")
        print where "<" $4 "> is for src/tensor alone; use lowbit/tensor"
      else if (module in torch && !torch[module]) print where "module '\''" module "'\'' is built without LibTorch: <" $4 ">"
    }'
}

# rule_libraries: third parties that one place hides from all others
rule_libraries() {
  source_files | matching '^(src|include)/' | includes_of | awk -F : '
    $4 ~ /^yaml-cpp\// && $1 !~ /^src\/config\// { print $1 ":" $2 ": yaml-cpp is for src/config alone" }
    $4 ~ /^spdlog\// && $1 != "src/base/log.cpp" { print $1 ":" $2 ": spdlog is for src/base/log.cpp alone" }
    $4 == "lowbit/base/json.h" && $1 ~ /^include\// { print $1 ":" $2 ": the JSON header is slow; no public header needs it" }'
}

# rule_length: files that people read end at 400 lines
rule_length() {
  { source_files; script_files; } | xargs -r -d '\n' awk '
    FNR == 401 { print FILENAME ":401: longer than 400 lines; split it by purpose" }'
}

# rule_paths: committed text names no folder of one machine
rule_paths() {
  tree_files | { xargs -r -d '\n' grep -HnIoE '(^|[^[:alnum:]_.}~$])/(work|home|root)/[[:alnum:]]' -- || true; } |
    sed -E 's/^([^:]*:[0-9]+):[^\/]*(.*)$/\1: a path of one machine: \2/'
}

# shellcheck disable=SC2034  # for those who source this file
rule_names=(layering torch libraries length paths)
