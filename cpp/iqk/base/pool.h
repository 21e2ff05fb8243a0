// The thread pool: one per process, shared by all callers.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace iqk {

// More threads than this are never used.
constexpr int kMaxThreads = 512;

using TileFn = void (*)(void* context, int64_t tile, int worker) noexcept;

// Runs fn(context, tile, worker) once for each tile in [0, tiles), on the caller and up to threads - 1 pool
// threads, and returns when all are done. Tiles are handed out in ascending order, one at a time, to whoever
// is free: a slow core takes fewer. `worker` lies in [0, threads) and belongs to one thread for the length of
// the call, so that it can index scratch memory. What was written before the call is visible to all tiles;
// what they wrote, after it.
//
// Any number of threads may call at once: each gets the pool threads that are free at that moment, in the
// worst case none. A call from inside a tile runs on the calling thread alone. Nothing is guaranteed about
// how many threads take part, so tiles must not wait for each other. The pool survives fork(), except from
// inside a tile.
void parallel(int threads, int64_t tiles, TileFn fn, void* context) noexcept;

// The same for any callable f(int64_t tile, int worker). It must not throw.
template <class F>
void parallel_for(int threads, int64_t tiles, F&& f) noexcept {
  using Callable = std::remove_reference_t<F>;
  constexpr TileFn call = [](void* context, int64_t tile, int worker) noexcept {
    (*static_cast<Callable*>(context))(tile, worker);
  };
  parallel(threads, tiles, call, const_cast<void*>(static_cast<const void*>(std::addressof(f))));
}

// Pool threads started so far in this process.
int pool_threads() noexcept;

}  // namespace iqk
