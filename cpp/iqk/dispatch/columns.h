// Which columns of x each matrix of a call takes: all of them in a dense product, those of its tokens in a
// routed one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "iqk/api.h"

namespace iqk {

// Where the columns of a call, counted by their position in its list, lie in an array: at slot / divisor of
// routed calls, else one behind the other.
struct Places {
  const int64_t* slots = nullptr;
  int64_t divisor = 1;
  int64_t first = 0;  // the position that lies at 0
  int64_t at(int64_t position) const { return slots ? slots[position] / divisor : position - first; }
};

// Columns [first, first + count) of the list: what a matrix takes of them, or a part of that.
struct Share {
  int64_t matrix, first, count;
  int64_t batch;  // columns of the matrix in all: they choose its kernel
};

// The columns of a routed call: slots (token * used + n), those of one expert together, and the experts that
// have any. The largest share comes first, so that the end of the work is small pieces.
struct Routing {
  std::vector<int64_t> slots;
  std::vector<Share> shares;
  std::vector<int64_t> ends;  // of each expert in the list
};
void group_by_expert(const Route& route, int64_t experts, Routing& routing);

// Columns that a kernel takes in one pass: their sums stay in the second-level cache.
constexpr int64_t kPassColumns = 576;

// Calls work(wave) for one wave of shares after the other. A wave takes at most about `bytes` of scratch
// memory, at `column_bytes` for each of its columns, but no less than one pass. Shares are cut between passes
// only.
template <class F>
void for_each_wave(const std::vector<Share>& shares, size_t column_bytes, size_t bytes,
                   std::vector<Share>& wave, F&& work) {
  const int64_t passes = static_cast<int64_t>(bytes / std::max<size_t>(1, column_bytes)) / kPassColumns;
  const int64_t most = std::max<int64_t>(1, passes) * kPassColumns;
  int64_t room = most;
  const auto flush = [&] {
    if (!wave.empty()) work(static_cast<const std::vector<Share>&>(wave));
    wave.clear();
    room = most;
  };
  wave.clear();
  for (const Share& share : shares) {
    if (share.count > room) flush();
    for (int64_t done = 0; done < share.count;) {
      const int64_t count = std::min(room, share.count - done);
      wave.push_back({share.matrix, share.first + done, count, share.batch});
      done += count;
      room -= count;
      if (room == 0) flush();
    }
  }
  flush();
}

}  // namespace iqk
