// The refusals of the library. The binding maps them to Python exceptions.
#pragma once

#include <stdexcept>

namespace iqk {

struct BadShape : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
struct BadType : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
struct BadIsa : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
struct BadValue : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

}  // namespace iqk
