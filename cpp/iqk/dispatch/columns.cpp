#include "iqk/dispatch/columns.h"

namespace iqk {

void group_by_expert(const Route& route, int64_t experts, Routing& routing) {
  const int64_t all = route.tokens * route.used;
  const auto valid = [&](int64_t slot) { return route.ids[slot] >= 0 && route.ids[slot] < experts; };
  std::vector<Share>& shares = routing.shares;
  shares.resize(static_cast<size_t>(experts));
  for (int64_t e = 0; e < experts; ++e) shares[static_cast<size_t>(e)] = {e, 0, 0, 0};
  for (int64_t slot = 0; slot < all; ++slot)
    if (valid(slot)) ++shares[static_cast<size_t>(route.ids[slot])].batch;
  std::sort(shares.begin(), shares.end(), [](const Share& a, const Share& b) {
    return a.batch != b.batch ? a.batch > b.batch : a.matrix < b.matrix;
  });
  while (!shares.empty() && shares.back().batch == 0) shares.pop_back();
  int64_t first = 0;
  routing.ends.assign(static_cast<size_t>(experts), 0);
  for (Share& share : shares) {
    share.first = first;
    share.count = share.batch;
    routing.ends[static_cast<size_t>(share.matrix)] = first;
    first += share.count;
  }
  routing.slots.resize(static_cast<size_t>(first));
  for (int64_t slot = 0; slot < all; ++slot)
    if (valid(slot))
      routing.slots[static_cast<size_t>(routing.ends[static_cast<size_t>(route.ids[slot])]++)] = slot;
}

}  // namespace iqk
