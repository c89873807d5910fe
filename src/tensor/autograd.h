#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <initializer_list>

namespace lowbit {

/// True when an operation on these tensors must be recorded, so that only functional ATen may carry it out.
[[nodiscard]] inline bool needs_gradient(std::initializer_list<at::Tensor> tensors) {
  if (!at::GradMode::is_enabled()) return false;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined() && tensor.requires_grad()) return true;
  }
  return false;
}

/// True when only functional ATen may carry out an operation on these tensors: it must be recorded, or their memory is
/// another device's, where no pointer of ours may go.
[[nodiscard]] inline bool needs_functional(std::initializer_list<at::Tensor> tensors) {
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined() && !tensor.is_cpu()) return true;
  }
  return needs_gradient(tensors);
}

}  // namespace lowbit
