#pragma once

// Written before a function: it is built once for each instruction set, and one is chosen when the program is loaded.
// Sanitizers cannot follow that choice.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define LOWBIT_EVERY_ISA [[gnu::target_clones("avx512f", "avx2", "default")]]
#else
#define LOWBIT_EVERY_ISA
#endif
