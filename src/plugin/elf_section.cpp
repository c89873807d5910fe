#include "plugin/elf_section.h"

#include <elf.h>

#include <cstdint>
#include <cstring>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

#if defined(__x86_64__)
constexpr std::uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr std::uint16_t kMachine = EM_AARCH64;
#else
#error "name this machine's ELF code"
#endif

class ElfFile {
 public:
  ElfFile(std::span<const std::byte> file, std::string_view origin) : file_(file), origin_(origin) {
    if (file_.size() < SELFMAG || std::memcmp(file_.data(), ELFMAG, SELFMAG) != 0) refuse("not a shared library");
    header_ = read<Elf64_Ehdr>(0);
    if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB ||
        header_.e_machine != kMachine) {
      refuse("a library for another machine");
    }
    if (header_.e_type != ET_DYN) refuse("an ELF file, but no shared library");
    check_segments();
  }

  [[nodiscard]] std::string_view section(std::string_view name) const {
    if (header_.e_shnum == 0 || header_.e_shstrndx >= header_.e_shnum) return {};
    if (header_.e_shentsize != sizeof(Elf64_Shdr)) refuse("a damaged library: its section headers have a wrong size");
    const std::string_view names = content(section_header(header_.e_shstrndx));
    for (std::uint16_t index = 0; index < header_.e_shnum; ++index) {
      const Elf64_Shdr found = section_header(index);
      if (found.sh_name >= names.size()) continue;
      const std::string_view rest = names.substr(found.sh_name);
      if (rest.substr(0, rest.find('\0')) == name) return content(found);
    }
    return {};
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const { fail(ErrorCode::kPlugin, "{}: {}", origin_, what); }

  void require(std::uint64_t offset, std::uint64_t size) const {
    if (offset > file_.size() || size > file_.size() - offset)
      refuse("a truncated library: it ends before its own end");
  }

  template <typename Struct>
  [[nodiscard]] Struct read(std::uint64_t offset) const {
    require(offset, sizeof(Struct));
    Struct value;
    std::memcpy(&value, file_.data() + offset, sizeof(Struct));
    return value;
  }

  // The loader maps segments without looking at the file's length; a page beyond it would end the program.
  void check_segments() const {
    if (header_.e_phentsize != sizeof(Elf64_Phdr)) refuse("a damaged library: its program headers have a wrong size");
    for (std::uint64_t index = 0; index < header_.e_phnum; ++index) {
      require(header_.e_phoff, (index + 1) * sizeof(Elf64_Phdr));
      const auto segment = read<Elf64_Phdr>(header_.e_phoff + index * sizeof(Elf64_Phdr));
      require(segment.p_offset, segment.p_filesz);
    }
  }

  [[nodiscard]] Elf64_Shdr section_header(std::uint64_t index) const {
    require(header_.e_shoff, (index + 1) * sizeof(Elf64_Shdr));
    return read<Elf64_Shdr>(header_.e_shoff + index * sizeof(Elf64_Shdr));
  }

  [[nodiscard]] std::string_view content(const Elf64_Shdr& section) const {
    if (section.sh_type == SHT_NOBITS) return {};
    require(section.sh_offset, section.sh_size);
    return {reinterpret_cast<const char*>(file_.data()) + section.sh_offset, section.sh_size};
  }

  std::span<const std::byte> file_;
  std::string_view origin_;
  Elf64_Ehdr header_;
};

}  // namespace

std::string_view elf_section(std::span<const std::byte> file, std::string_view name, std::string_view origin) {
  return ElfFile(file, origin).section(name);
}

}  // namespace lowbit
