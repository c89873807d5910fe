#include "plugin/elf_section.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;

// A small shared object: a header, one segment, the sections ".mine" and the names, and their headers.
class SharedObject {
 public:
  SharedObject() {
    names_ = std::string("\0.mine\0.names\0", 14);
    header_.e_machine = machine();
    std::memcpy(header_.e_ident, ELFMAG, SELFMAG);
    header_.e_ident[EI_CLASS] = ELFCLASS64;
    header_.e_ident[EI_DATA] = ELFDATA2LSB;
    header_.e_type = ET_DYN;
    header_.e_phoff = sizeof(Elf64_Ehdr);
    header_.e_phentsize = sizeof(Elf64_Phdr);
    header_.e_phnum = 1;
    header_.e_shentsize = sizeof(Elf64_Shdr);
    header_.e_shnum = 3;
    header_.e_shstrndx = 2;
    const std::uint64_t text = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
    segment_.p_filesz = text;
    mine_.sh_name = 1;
    mine_.sh_type = SHT_PROGBITS;
    mine_.sh_offset = text;
    mine_.sh_size = content_.size();
    name_section_.sh_name = 7;
    name_section_.sh_type = SHT_STRTAB;
    name_section_.sh_offset = text + content_.size();
    name_section_.sh_size = names_.size();
    header_.e_shoff = name_section_.sh_offset + names_.size();
  }

  [[nodiscard]] std::string bytes() const {
    std::string file;
    append(file, header_);
    append(file, segment_);
    file += content_ + names_;
    append(file, Elf64_Shdr{});
    append(file, mine_);
    append(file, name_section_);
    return file;
  }

  static std::uint16_t machine() {
#if defined(__aarch64__)
    return EM_AARCH64;
#else
    return EM_X86_64;
#endif
  }

  Elf64_Ehdr header_{};
  Elf64_Phdr segment_{};
  Elf64_Shdr mine_{};
  Elf64_Shdr name_section_{};
  std::string content_ = "what the section holds";
  std::string names_;

 private:
  template <typename Struct>
  static void append(std::string& file, const Struct& value) {
    file.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
};

std::string_view section_of(const std::string& file, std::string_view name) {
  return elf_section(std::as_bytes(std::span(file.data(), file.size())), name, "x.so");
}

std::string refusal_of(const std::string& file) {
  return error_text(ErrorCode::kPlugin, [&] { (void)section_of(file, ".mine"); });
}

TEST(ElfSection, FindsASectionByItsName) {
  const std::string file = SharedObject().bytes();
  EXPECT_EQ(section_of(file, ".mine"), "what the section holds");
  EXPECT_EQ(section_of(file, ".other"), "");
  EXPECT_EQ(section_of(file, ".min"), "");
}

TEST(ElfSection, HasNothingToShowWithoutSectionHeaders) {
  SharedObject object;
  object.header_.e_shnum = 0;
  EXPECT_EQ(section_of(object.bytes(), ".mine"), "");
}

TEST(ElfSection, RefusesWhatIsNoSharedObjectOfThisMachine) {
  EXPECT_EQ(refusal_of(""), "x.so: not a shared library");
  EXPECT_EQ(refusal_of("#!/bin/sh\n"), "x.so: not a shared library");
  SharedObject object;
  object.header_.e_machine = EM_S390;
  EXPECT_EQ(refusal_of(object.bytes()), "x.so: a library for another machine");
  object = {};
  object.header_.e_ident[EI_CLASS] = ELFCLASS32;
  EXPECT_EQ(refusal_of(object.bytes()), "x.so: a library for another machine");
  object = {};
  object.header_.e_type = ET_REL;
  EXPECT_EQ(refusal_of(object.bytes()), "x.so: an ELF file, but no shared library");
}

TEST(ElfSection, RefusesEveryTruncation) {
  const std::string file = SharedObject().bytes();
  for (std::size_t size = 0; size < file.size(); ++size) {
    // A buffer of exactly that size, so that a sanitizer sees a read behind it.
    const std::vector<char> part(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW((void)elf_section(std::as_bytes(std::span(part)), ".mine", "x.so"), Error) << size;
  }
}

TEST(ElfSection, RefusesOffsetsAndSizesBeyondTheFile) {
  const std::uint64_t far[] = {1 << 20, ~std::uint64_t{0}, ~std::uint64_t{0} - 8};
  for (const std::uint64_t value : far) {
    SharedObject object;
    object.mine_.sh_offset = value;
    EXPECT_THAT(refusal_of(object.bytes()), HasSubstr("a truncated library"));
    object = {};
    object.mine_.sh_size = value;
    EXPECT_THAT(refusal_of(object.bytes()), HasSubstr("a truncated library"));
    object = {};
    object.segment_.p_offset = value;
    EXPECT_THAT(refusal_of(object.bytes()), HasSubstr("a truncated library"));
    object = {};
    object.segment_.p_filesz = value;
    EXPECT_THAT(refusal_of(object.bytes()), HasSubstr("a truncated library"));
    object = {};
    object.header_.e_phoff = value;
    EXPECT_THAT(refusal_of(object.bytes()), HasSubstr("a truncated library"));
    object = {};
    object.header_.e_shoff = value;
    EXPECT_THAT(refusal_of(object.bytes()), HasSubstr("a truncated library"));
  }
}

TEST(ElfSection, RefusesHeadersOfAnotherSize) {
  SharedObject object;
  object.header_.e_shentsize = 8;
  EXPECT_THAT(refusal_of(object.bytes()), HasSubstr("its section headers have a wrong size"));
  object = {};
  object.header_.e_phentsize = 8;
  EXPECT_THAT(refusal_of(object.bytes()), HasSubstr("its program headers have a wrong size"));
}

}  // namespace
}  // namespace lowbit
