// Stands for NVIDIA's driver and its management library in tests: what it answers stands in environment variables.
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

int number(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

int answer(int* result, int value) {
  *result = value;
  return 0;
}

}  // namespace

extern "C" {

[[gnu::visibility("default")]] int cuDriverGetVersion(int* version) {
  return answer(version, number("FAKE_DRIVER_VERSION", 13000));
}
[[gnu::visibility("default")]] int cuInit(unsigned) { return number("FAKE_DRIVER_START", 0); }
[[gnu::visibility("default")]] int cuDeviceGetCount(int* count) { return answer(count, number("FAKE_DRIVER_GPUS", 1)); }
[[gnu::visibility("default")]] int cuDeviceGetAttribute(int* value, int attribute, int) {
  const int capability = number("FAKE_DRIVER_CAPABILITY", 90);
  return answer(value, attribute == 75 ? capability / 10 : capability % 10);
}
[[gnu::visibility("default")]] int cuDeviceGetPCIBusId(char* text, int size, int device) {
  std::snprintf(text, static_cast<std::size_t>(size), "0000:0%d:00.0", device + 1);
  return 0;
}

[[gnu::visibility("default")]] int nvmlInit_v2() { return 0; }
[[gnu::visibility("default")]] int nvmlDeviceGetHandleByPciBusId_v2(const char* place, void** device) {
  *device = const_cast<char*>("device");
  return std::strcmp(place, "0000:02:00.0") == 0 ? 0 : 6;  // "not found"
}
[[gnu::visibility("default")]] int nvmlDeviceGetName(void*, char* text, unsigned size) {
  std::snprintf(text, size, "a GPU of the tests");
  return 0;
}
[[gnu::visibility("default")]] int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* millijoules) {
  *millijoules = static_cast<unsigned long long>(number("FAKE_DRIVER_MILLIJOULES", 0));
  return number("FAKE_DRIVER_MILLIJOULES", 0) < 0 ? 3 : 0;  // "not supported"
}
}
