// What the tests commit, and what must come back.

#ifndef EPOCHWAL_TESTS_WORKLOAD_HPP
#define EPOCHWAL_TESTS_WORKLOAD_HPP

#include <epochwal/epochwal.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace workload {

constexpr std::size_t page_size = 512;

/// The image that transaction `txn` gives to page `page`.
inline std::vector<std::byte> image(std::uint64_t txn, std::uint32_t page) {
  std::vector<std::byte> bytes(page_size);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>((txn * 31 + page * 7 + i) & 0xff);
  return bytes;
}

inline bool same(epochwal::bytes a, const std::vector<std::byte>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// Two pages; owns the images that its frames borrow.
struct transaction {
  std::uint64_t id;
  std::uint64_t seq;
  std::vector<std::byte> one;
  std::vector<std::byte> two;
  std::vector<epochwal::frame> frames;

  explicit transaction(std::uint64_t txn, std::uint64_t commit_seq)
      : id(txn), seq(commit_seq), one(image(txn, 1)), two(image(txn, 2)) {
    frames.emplace_back(1, one);
    frames.emplace_back(2, two, 2);
  }

  [[nodiscard]] epochwal::batch batch() const {
    epochwal::batch b;
    b.txn_id = id;
    b.txn_epoch = 5;
    b.commit_seq = seq;
    b.frames = frames;
    return b;
  }

  [[nodiscard]] bool is(const epochwal::recovered_batch& b) const {
    return b.txn_id == id && b.txn_epoch == 5 && b.frames.size() == 2 &&
           b.frames[0].page_number == 1 && b.frames[0].db_size_if_commit == 0 &&
           same(b.frames[0].image(), one) && b.frames[1].page_number == 2 &&
           b.frames[1].db_size_if_commit == 2 && same(b.frames[1].image(), two);
  }
};

/// Nothing happens by itself: epochs are sealed by waits and flushes only.
inline epochwal::coordinator_options quiet() {
  epochwal::coordinator_options options;
  options.epoch_interval_ns = EWAL_EPOCH_INTERVAL_OFF;
  options.segment_size = 64 * 1024;
  return options;
}

}  // namespace workload

#endif
