# Without this the compiler takes an exponential that is thrown away (of a logit far below the largest) for a trap that
# must not happen, and does one logit at a time.
set_source_files_properties("${PROJECT_SOURCE_DIR}/src/evaluation/exponentials.cpp" PROPERTIES
  COMPILE_OPTIONS "-fno-trapping-math" SKIP_PRECOMPILE_HEADERS ON)
