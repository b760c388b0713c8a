// A dump of frames, as the examples read it.
//
// Repeated transactions, integers u32 little-endian: the number of frames,
// then per frame its page number, the database's size in pages after the
// commit (0 where the frame commits nothing), the image's length, the image.
// `epochwal cat DB --raw` writes the same.

#ifndef EPOCHWAL_EXAMPLES_FRAMES_HPP
#define EPOCHWAL_EXAMPLES_FRAMES_HPP

#include <epochwal/epochwal.hpp>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

class frame_dump {
 public:
  explicit frame_dump(const std::string& path) : path_(path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": can't be opened");
    content_.assign(std::istreambuf_iterator<char>(file), {});
  }

  /// The frames of the next transaction, views into the dump; empty at the end.
  std::vector<epochwal::frame> next() {
    std::vector<epochwal::frame> frames;
    if (at_ == content_.size()) return frames;
    const std::uint32_t count = number("number of frames");
    if (count == 0) fail("a transaction without frames");
    // Not reserved: a wrong count would take memory that it has no claim to.
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t page = number("page number");
      const std::uint32_t db_size = number("database size");
      const std::uint32_t length = number("length");
      if (content_.size() - at_ < length) fail("the image is cut off");
      frames.emplace_back(page, epochwal::as_bytes(content_.data() + at_, length), db_size);
      at_ += length;
    }
    return frames;
  }

 private:
  std::uint32_t number(const char* what) {
    if (content_.size() - at_ < 4) fail(std::string("the ") + what + " is cut off");
    std::uint32_t value = 0;
    for (int i = 3; i >= 0; --i)
      value = value << 8 | static_cast<unsigned char>(content_[at_ + static_cast<unsigned>(i)]);
    at_ += 4;
    return value;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(path_ + ": " + what + " at offset " + std::to_string(at_));
  }

  std::string path_;
  std::vector<char> content_;
  std::size_t at_ = 0;
};

#endif
