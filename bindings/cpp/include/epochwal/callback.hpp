/// @file
/// Callables on their way through C.

#ifndef EPOCHWAL_CALLBACK_HPP
#define EPOCHWAL_CALLBACK_HPP

#include <epochwal/result.hpp>

#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>
#include <vector>

EPOCHWAL_NAMESPACE_BEGIN

namespace detail {

/// A callable that the library owns: it calls `run` once and `drop` once. An
/// exception that leaves it ends the program, as one that leaves a thread does:
/// there is no one to catch it.
template <class F>
struct callback {
  static void run(void* user, std::uint64_t epoch, ewal_status status) noexcept {
    (*static_cast<F*>(user))(epoch, status);
  }
  static void drop(void* user) noexcept { delete static_cast<F*>(user); }
};

/// Hands `function` to a C function that takes it over, whatever comes of the
/// call: `give(run, user, drop, error)`.
template <class F, class Give>
result<void> give_callback(F&& function, Give&& give) {
  using owned = std::decay_t<F>;
  static_assert(std::is_invocable_v<owned&, std::uint64_t, ewal_status>,
                "the callback takes the epoch and the status");
  auto* user = new owned(std::forward<F>(function));
  return call([&](ewal_error* e) {
    return give(callback<owned>::run, user, callback<owned>::drop, e);
  });
}

/// A callable as C calls it for each thing of a listing: with an `Owned` made of
/// the C struct. One that gives nothing goes on; else it goes on while that is
/// true. What it throws is kept, and stops the listing.
template <class Owned, class C, class F>
struct each {
  F& function;
#ifndef EPOCHWAL_NO_EXCEPTIONS
  std::exception_ptr thrown{};
#endif

  static int step(void* user, const C* c) noexcept {
    auto* self = static_cast<each*>(user);
#ifndef EPOCHWAL_NO_EXCEPTIONS
    try {
      return self->stops(Owned(*c));
    } catch (...) {
      self->thrown = std::current_exception();
      return 1;
    }
#else
    return self->stops(Owned(*c));
#endif
  }

 private:
  bool stops(const Owned& one) {
    if constexpr (std::is_void_v<std::invoke_result_t<F&, const Owned&>>) {
      function(one);
      return false;
    } else {
      return !static_cast<bool>(function(one));
    }
  }
};

/// A C function that lists: `list(callback, user, error)`. What the callable
/// throws does not pass through C, and comes out behind it.
template <class Owned, class C, class F, class List>
result<void> listing(F& function, List&& list) {
  each<Owned, C, F> state{function};
  auto done = call([&](ewal_error* e) { return list(&each<Owned, C, F>::step, &state, e); });
#ifndef EPOCHWAL_NO_EXCEPTIONS
  if (state.thrown) std::rethrow_exception(state.thrown);
#endif
  return done;
}

/// All of a listing.
template <class Owned, class C, class List>
result<std::vector<Owned>> collected(List&& list) {
  std::vector<Owned> all;
  auto add = [&](const Owned& one) { all.push_back(one); };
  auto done = listing<Owned, C>(add, list);
  if (!done.has_value()) return unexpected(std::move(done).error());
  return all;
}

}  // namespace detail

EPOCHWAL_NAMESPACE_END

#endif
