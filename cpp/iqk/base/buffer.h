// Scratch memory for kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace iqk {

// 64-byte aligned memory that only grows. Growing does not keep the contents; new memory is not initialized.
class AlignedBuffer {
 public:
  static constexpr size_t kAlignment = 64;

  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t bytes) { reserve(bytes); }
  ~AlignedBuffer() { release(); }
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    AlignedBuffer(std::move(other)).swap(*this);
    return *this;
  }

  // At least `bytes` of memory; throws std::bad_alloc. Earlier pointers are invalid if it had to grow.
  void* reserve(size_t bytes) {
    if (bytes > size_) {
      if (bytes > PTRDIFF_MAX - kAlignment) throw std::bad_alloc();
      release();  // first, so that old and new never exist together
      const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
      data_ = ::operator new(rounded, std::align_val_t{kAlignment});
      size_ = rounded;
    }
    return data_;
  }

  template <class T>
  T* reserve_array(size_t count) {
    static_assert(alignof(T) <= kAlignment);
    if (count > PTRDIFF_MAX / sizeof(T)) throw std::bad_alloc();
    return static_cast<T*>(reserve(count * sizeof(T)));
  }

  void* data() const { return data_; }
  size_t size() const { return size_; }

  void swap(AlignedBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

 private:
  void release() noexcept {
    ::operator delete(std::exchange(data_, nullptr), std::align_val_t{kAlignment});
    size_ = 0;
  }

  void* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace iqk
