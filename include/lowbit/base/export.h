#pragma once

// Written behind the name of the namespace in public headers, so that what they declare leaves liblowbit.so while all
// else stays hidden:  namespace lowbit LOWBIT_EXPORT { ... }
#define LOWBIT_EXPORT __attribute__((visibility("default")))
