# Arrow in .deps/, made of a pinned wheel: the headers and the two libraries that the reader of Parquet files links.
# Needs lib.sh, lib-wheels.sh and lib-torch.sh (require_loadable).
# shellcheck shell=bash disable=SC2154
# (variables of the files sourced before)

arrow_version=$(awk '$2 == "pyarrow" { print $3 }' "$wheel_list")
arrow_folder="$lowbit_root/.deps/arrow-$arrow_version"
arrow_megabytes=65

arrow_stamp() {
  wheels_of arrow | awk '{ print $2, $3, $5 }'
}

set_up_arrow() {
  local temporary="$arrow_folder.tmp.$$" missing library
  if [[ -f "$arrow_folder/.lowbit-stamp" && "$(<"$arrow_folder/.lowbit-stamp")" == "$(arrow_stamp)" ]]; then
    say "Arrow $arrow_version is unpacked in '$arrow_folder'"
    return 0
  fi
  make_folder "$lowbit_root/.deps"
  missing=$(missing_wheels arrow)
  fetch_wheels "$missing"
  rm -rf -- "$arrow_folder".tmp.*  # of a set-up that was killed; the lock is ours
  require_disk "$lowbit_root/.deps" $(( 2 * arrow_megabytes )) "unpacking Arrow $arrow_version"
  say "unpacking Arrow $arrow_version into '$arrow_folder'"
  mkdir -p -- "$temporary/lib"
  take_out pyarrow "$arrow_version" "$temporary" 'pyarrow/include/*' 'pyarrow/libarrow.so.*' 'pyarrow/libparquet.so.*' \
    '*/LICENSE.txt' '*/NOTICE.txt'
  mv -- "$temporary/pyarrow/include" "$temporary/include"
  mv -- "$temporary"/pyarrow/lib*.so.* "$temporary/lib/"
  mkdir -- "$temporary/licenses"
  mv -- "$temporary"/pyarrow-*.dist-info/*.txt "$temporary/licenses/"
  rm -rf -- "$temporary/pyarrow" "$temporary"/pyarrow-*.dist-info
  for library in "$temporary"/lib/*; do require_loadable "$library"; done
  arrow_stamp >"$temporary/.lowbit-stamp"
  rm -rf -- "$arrow_folder"
  mv -- "$temporary" "$arrow_folder"
}
