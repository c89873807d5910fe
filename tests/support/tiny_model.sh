# A model and a text for tests that must run everywhere. Needs $source_folder.
# shellcheck shell=bash disable=SC2154
# (the variable comes from lib.sh)

# write_tiny_model <folder>: two blocks of width 16 with a vocabulary of 24 characters: a to v, space and line feed
write_tiny_model() {
  cp -rL -- "$source_folder/tests/golden/model/gqa-tied-sharded" "$1"
  chmod -R u+w -- "$1"
  cp -- "$source_folder/tests/install/tokenizer.json" "$1/tokenizer.json"
}

# write_tiny_text <file>: 40 paragraphs of words of those letters
write_tiny_text() {
  local words=(the sun rose and moon sank into sea bold fish learn to dance on land but no one sat hence all forgot)
  local _
  RANDOM=5
  for _ in {1..40}; do
    for _ in {1..12}; do printf '%s ' "${words[RANDOM % ${#words[@]}]}"; done
    printf 'end\n\n'
  done >"$1"
}
