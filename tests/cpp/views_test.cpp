// Spans, timeouts, paths and results by themselves; no log.

#include "check.hpp"
#include "workload.hpp"

#include <array>
#include <chrono>
#include <filesystem>
#include <limits>
#include <ratio>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#ifdef CHECK_RANGES
#include <concepts>
#include <ranges>
#include <span>
#endif

using namespace std::chrono_literals;

static_assert(epochwal::timeout(epochwal::forever).count() == -1);
static_assert(epochwal::timeout(3ms).count() == 3'000'000);
static_assert(epochwal::timeout(0s).count() == 0);
static_assert(epochwal::timeout(-1ns).count() == 0, "a past deadline is not for ever");
static_assert(epochwal::timeout(std::chrono::hours::max()).count() ==
              std::numeric_limits<std::int64_t>::max());
static_assert(epochwal::timeout(std::chrono::hours::min()).count() == 0);

static_assert(epochwal::interval(3ms).count() == 3'000'000);
static_assert(epochwal::interval(0s).count() == 1, "0 would be the default");
static_assert(epochwal::interval(-1ns).count() == std::uint64_t{1} << 63);
static_assert(epochwal::interval(std::chrono::hours::max()).count() ==
              std::numeric_limits<std::int64_t>::max());
static_assert(epochwal::interval(std::chrono::duration<double>(1e-12)).count() == 1);

// What was read can be appended as it is, from a name or not.
static_assert(std::is_convertible_v<epochwal::records, epochwal::span<const epochwal::record>>);
static_assert(
    std::is_convertible_v<const epochwal::records&, epochwal::span<const epochwal::record>>);
static_assert(
    std::is_convertible_v<std::vector<epochwal::frame>, epochwal::span<const epochwal::frame>>);
static_assert(!std::is_convertible_v<std::vector<epochwal::frame>, epochwal::span<epochwal::frame>>,
              "what is written to a temporary is lost");
static_assert(!std::is_convertible_v<std::vector<int>, epochwal::span<const long>>);

#ifdef CHECK_RANGES
static_assert(std::ranges::contiguous_range<const epochwal::records>);
static_assert(std::ranges::sized_range<const epochwal::records>);
static_assert(std::ranges::contiguous_range<epochwal::frames_view>);
static_assert(std::same_as<epochwal::bytes, std::span<const std::byte>>);
#endif

TEST(timeouts_take_any_duration) {
  CHECK(epochwal::timeout(std::chrono::duration<double>(0.5)).count() == 500'000'000);
  const double infinite = std::numeric_limits<double>::infinity();
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  CHECK(epochwal::timeout(std::chrono::duration<double>(infinite)).count() ==
        std::numeric_limits<std::int64_t>::max());
  CHECK(epochwal::timeout(std::chrono::duration<double>(unknown)).count() == 0);
  // An option that is no time is refused.
  CHECK(epochwal::interval(std::chrono::duration<double>(unknown)).count() ==
        std::uint64_t{1} << 63);
}

TEST(timeouts_take_deadlines) {
  using clock = std::chrono::steady_clock;
  const auto in_an_hour = epochwal::timeout(clock::now() + 1h).count();
  CHECK(in_an_hour > 0);
  CHECK(in_an_hour <= 3'600'000'000'000);
  CHECK(epochwal::timeout(std::chrono::system_clock::now() - 1h).count() == 0);
  CHECK(epochwal::timeout(clock::time_point::min()).count() == 0);
  // Far beyond what can be waited, and no overflow on the way.
  CHECK(epochwal::timeout(clock::time_point::max()).count() >
        std::numeric_limits<std::int64_t>::max() / 2);
  using years = std::chrono::duration<std::int64_t, std::ratio<31'556'952>>;
  using century = std::chrono::time_point<std::chrono::system_clock, years>;
  CHECK(epochwal::timeout(century(years(100'000))).count() ==
        std::numeric_limits<std::int64_t>::max());
}

TEST(paths_come_in_every_form) {
  const std::string text = "a/b.db";
  CHECK(std::string_view(epochwal::path_view(text).c_str()) == "a/b.db");
  CHECK(std::string_view(epochwal::path_view("a/b.db").c_str()) == "a/b.db");
  CHECK(std::string_view(epochwal::path_view(std::filesystem::path(text)).c_str()) == "a/b.db");
  CHECK(epochwal::path_view(std::string("a\0b", 3)).c_str() == nullptr);
}

TEST(frames_borrow_from_any_container) {
  std::vector<std::uint8_t> vector(10);
  std::array<std::uint32_t, 3> array{};
  const std::string string = "abc";
  const char raw[] = {1, 2};
  const epochwal::frame frames[] = {
      {1, vector}, {2, array}, {3, string}, {4, std::string_view(string)}, {5, raw, 9},
      {6, epochwal::as_bytes(vector.data(), 4)}};
  const std::size_t sizes[] = {10, 12, 3, 3, 2, 4};
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(frames[i].page_number == i + 1);
    CHECK(frames[i].image().size() == sizes[i]);
  }
  CHECK(frames[4].db_size_if_commit == 9);
  CHECK(frames[2].image().data() == static_cast<const void*>(string.data()));
}

TEST(a_span_views_what_is_contiguous) {
  std::vector<epochwal::frame> vector(3);
  const epochwal::span<const epochwal::frame> of_vector = vector;
  CHECK(of_vector.size() == 3);
  CHECK(of_vector.data() == vector.data());
  epochwal::frame one[2];
  const epochwal::span<const epochwal::frame> of_array = one;
  CHECK(of_array.size() == 2);
  std::size_t steps = 0;
  for (const epochwal::frame& f : of_array) steps += f.page_number == 0;
  CHECK(steps == 2);
  CHECK(&of_array.front() == one);
  CHECK(&of_array.back() == one + 1);
  CHECK(epochwal::span<const epochwal::frame>().empty());
  const auto size_of = [](epochwal::span<const epochwal::frame> given) { return given.size(); };
  CHECK(size_of(std::vector<epochwal::frame>(4)) == 4);
}

TEST(frames_views_are_walked) {
  const char page[] = "xy";
  const epochwal::frame frames[] = {{3, page}, {4, page}};
  const epochwal::frames_view view(frames, 2);
  std::uint32_t sum = 0;
  for (const epochwal::frame f : view) sum = sum * 10 + f.page_number;
  CHECK(sum == 34);
  CHECK(view[1].page_number == 4);
  CHECK(epochwal::frames_view().begin() == epochwal::frames_view().end());
}

TEST(results_hold_one_or_the_other) {
  epochwal::result<std::string> good = std::string("value");
  CHECK(good.has_value());
  CHECK(*good == "value");
  CHECK(good->size() == 5);
  CHECK(good.value_or("other") == "value");
  const epochwal::result<std::string> bad = epochwal::detail::fail(EWAL_E_LOCKED, "held");
  CHECK(!bad);
  CHECK(bad.error().status() == EWAL_E_LOCKED);
  CHECK(std::string_view(bad.error().what()) == "held");
  CHECK(bad.value_or("other") == "other");
  const std::string moved = *std::move(good);
  CHECK(moved == "value");
  const epochwal::result<void> done;
  CHECK(done.has_value());
  const epochwal::result<void> failed = epochwal::detail::fail(EWAL_E_IO, "disk");
  CHECK(!failed.has_value());
  CHECK(failed.error().status() == EWAL_E_IO);
}

TEST(the_library_says_its_version) {
  CHECK(std::string_view(epochwal::version()) == "0.1.0");
  CHECK(std::string_view(epochwal::status_name(EWAL_E_CORRUPT)) == "EWAL_E_CORRUPT");
}

int main() { return check::run(); }
