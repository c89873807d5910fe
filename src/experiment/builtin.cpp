#include "lowbit/experiment/experiment.h"

namespace lowbit {

Registries builtin_registries() {
  Registries registries;
  registries.quantization = builtin_quantization();
  register_builtin_evaluations(registries.evaluations);
  return registries;
}

}  // namespace lowbit
