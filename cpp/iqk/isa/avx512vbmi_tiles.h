// AVX-512 with VBMI: codebook types of four interleaved rows, see grids.h. A first pass puts the words of
// each row together, as those of a plain type are.
#pragma once

namespace IQK_NS {

constexpr bool kReadsTiles = true;

// Of dwords 4 b + R, one for each sub-block b: R to lane R.
IQK_INLINE __m512i lane_per_row(const uint8_t* p) { return transpose_lanes32(load(p)).v; }
// Entries of the first four sub-blocks and of the others, a lane per row.
IQK_INLINE void store_rows(const EntryPlanes& first, const EntryPlanes& last, uint16_t* to) {
  const auto store_half = [&](const EntryPlanes& x, uint16_t* at) IQK_LAMBDA {
    const Bytes lo = {_mm512_unpacklo_epi8(x.lower, x.upper)}, hi = {_mm512_unpackhi_epi8(x.lower, x.upper)};
    const auto two_rows = [](uint16_t* row, Bytes words) IQK_LAMBDA {
      store_halves(reinterpret_cast<uint8_t*>(row), reinterpret_cast<uint8_t*>(row + 32), words);
    };
    two_rows(at, zip_lo128(lo, hi));
    two_rows(at + 64, zip_hi128(lo, hi));
  };
  store_half(first, to);
  store_half(last, to + 16);
}
template <class Grid>
IQK_INLINE void first_grid8_tile_bytes(const Grid& grid, const uint8_t* index, uint16_t* to) {
  const auto planes = [&](int at) IQK_LAMBDA { return entry_planes(grid, lane_per_row(index + at), 0, 0); };
  store_rows(planes(0), planes(64), to);
}
template <class Grid, class PutWords>
IQK_INLINE void first_grid8_tile_parts(const Grid& grid, const uint8_t* low, const uint8_t* high,
                                       uint16_t* to, PutWords) {
  // Byte 4 b + R to the four bytes of dword b of lane R, which have two of its bits each.
  const auto at = [](int i) { return static_cast<int>(in_each_byte(i % 4 * 4 + i / 4)); };
  const __m512i from = dwords_at(at);
  const auto planes = [&](int n) IQK_LAMBDA {
    const __m512i bits = _mm512_shuffle_epi8(load_broadcast(high + 16 * n).v, from);
    return entry_planes(grid, lane_per_row(low + 64 * n), _mm512_test_epi8_mask(bits, splat32(0x40100401).v),
                        _mm512_test_epi8_mask(bits, splat32(0x80200802).v));
  };
  store_rows(planes(0), planes(1), to);
}
// Qwords 4 b + R of 256 bytes, in order of b.
template <int R>
IQK_INLINE Bytes row_qwords(const uint8_t* p) {
  const __m512i from = _mm512_setr_epi64(R, 4 + R, 8 + R, 12 + R, R, 4 + R, 8 + R, 12 + R);
  const __m512i first = _mm512_permutex2var_epi64(load(p).v, from, load(p + 64).v);
  return {_mm512_mask_blend_epi64(0xf0, first,
                                  _mm512_permutex2var_epi64(load(p + 128).v, from, load(p + 192).v))};
}
template <class Grid>
IQK_INLINE void first_grid8_tile_words(const Grid& grid, const uint8_t* words, uint16_t* to) {
  first_grid8_words(grid, row_qwords<0>(words), row_qwords<1>(words), to);
  first_grid8_words(grid, row_qwords<2>(words), row_qwords<3>(words), to + 64);
}
template <int R, class Grid, class Put>
IQK_INLINE void grid8_tile_words(const Grid& grid, const uint16_t* index, const Signs& signs, Put put) {
  grid8_words(grid, index + 32 * R, signs, put);
}
template <int R, class Grid, class Put>
IQK_INLINE void grid8_tile_bytes(const Grid& grid, const uint8_t*, const uint16_t* index, const Signs& signs,
                                 Put put) {
  grid8_words(grid, index + 32 * R, signs, put);
}

template <int R, class Grid>
IQK_INLINE void first_grid4_tile_row(const Grid& grid, const uint8_t* low, const uint8_t* high,
                                     uint16_t* to) {
  // Of 128 bytes, four sub-blocks each.
  const auto at = [](int b) { return static_cast<int64_t>(0x1c140c0418100800 + in_each_byte(32 * b + R)); };
  const __m512i from = _mm512_setr_epi64(at(0), at(1), at(2), at(3), at(0), at(1), at(2), at(3));
  const __m512i first = _mm512_permutex2var_epi8(load(low).v, from, load(low + 64).v);
  const __m512i last = _mm512_permutex2var_epi8(load(low + 128).v, from, load(low + 192).v);
  const auto byte = [](int b) { return static_cast<int64_t>(in_each_byte(4 * b + R)); };
  const __m512i bytes = _mm512_permutexvar_epi8(
      _mm512_setr_epi64(byte(0), byte(1), byte(2), byte(3), byte(4), byte(5), byte(6), byte(7)),
      _mm512_castsi256_si512(load256(high)));
  const __mmask64 bit8 = _mm512_test_epi8_mask(bytes, _mm512_set1_epi64(static_cast<int64_t>(kEachBit)));
  const DigitBits bits = digit_bits(entry_planes(grid, _mm512_mask_blend_epi64(0xf0, first, last), bit8, 0));
  store(to + 64 * R, {bits.pairs});
  store(to + 64 * R + 32, {bits.highest});
}
template <class Grid, class PutWords>
IQK_INLINE void first_grid4_tile_parts(const Grid& grid, const uint8_t* low, const uint8_t* high,
                                       uint16_t* to, PutWords) {
  unroll<4>([&](auto r) IQK_LAMBDA { first_grid4_tile_row<decltype(r)::value>(grid, low, high, to); });
}
template <int R, class Grid, class Put>
IQK_INLINE void grid4_tile_words(const Grid& grid, const uint16_t* index, const Signs& signs, Put put) {
  grid4_words(grid, index + 64 * R, signs, put);
}
template <int R, class Grid, class Put>
IQK_INLINE void grid4_tile_bytes(const Grid& grid, const uint8_t* index, const Signs& signs, Put put) {
  put_grid4(grid, digit_bits(entry_planes(grid, row_qwords<R>(index).v, 0, 0)), signs, put);
}

// Dwords 4 b + R of 128 bytes, in order of b, each twice.
template <int R>
IQK_INLINE __m512i row_dwords(const uint8_t* p) {
  const auto at = [](int l) { return 4 * (l / 2) + R; };
  const __m512i from = dwords_at(at);
  return _mm512_permutex2var_epi32(load(p).v, from, load(p + 64).v);
}
// The rows of a matrix of signs: bytes `rows` of each qword.
IQK_INLINE __m512i sign_rows(__m512i qwords, uint64_t rows) {
  const int64_t even = static_cast<int64_t>(rows), odd = static_cast<int64_t>(rows + in_each_byte(8));
  return _mm512_shuffle_epi8(qwords, _mm512_setr_epi64(even, odd, even, odd, even, odd, even, odd));
}
// Byte n: the bits whose sum is sign n, of seven re-coded ones in bits 1-7.
constexpr uint64_t kRecodedBits = 0x80c06030180c0602;
template <int R>
IQK_INLINE Signs row_signs(const uint8_t* p) {
  return {transposed(sign_rows(row_dwords<R>(p), kSignRows), kEachBit)};
}
template <int R>
IQK_INLINE Signs recoded_row_signs(const uint8_t* p) {
  return {transposed(sign_rows(row_dwords<R>(p), kSignRows), kRecodedBits)};
}
template <int R>
IQK_INLINE Signs recoded_word_row_signs(const uint8_t* p) {
  return {transposed(sign_rows(row_qwords<R>(p).v, 2 * kSignRows + in_each_byte(1)), kRecodedBits)};
}

template <int R>
IQK_INLINE Signs bit_row_signs(const uint8_t* p) {
  // The upper quad's bits to the lower one's places; then each to its vector's, as load_signs has them.
  constexpr int64_t kPlaces = 0x0400010040101000;
  const __m512i x = _mm512_srlv_epi32(row_dwords<R>(p), _mm512_set1_epi64(int64_t{1} << 32));
  return {_mm512_gf2p8affine_epi64_epi8(x, _mm512_set1_epi64(kPlaces), 0)};
}

template <int R, int Shift>
IQK_INLINE Floats<16> odd_bit_lanes(const uint8_t* p) {
  // The transposition puts the lowest bit of byte 0 on top.
  constexpr float f = 1.0f / (1 << Shift);
  const __m512 table = _mm512_setr_ps(1 * f, 17 * f, 9 * f, 25 * f, 5 * f, 21 * f, 13 * f, 29 * f, 3 * f,
                                      19 * f, 11 * f, 27 * f, 7 * f, 23 * f, 15 * f, 31 * f);
  return {_mm512_permutexvar_ps(transposed(row_dwords<R>(p), in_each_byte(1)), table)};
}
IQK_INLINE Floats<8> every_second(Floats<16> x) {
  const __m512i from = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 0, 0, 0, 0, 0, 0, 0);
  return {_mm512_castps512_ps256(_mm512_permutexvar_ps(from, x.v))};
}
template <int R, int Shift>
IQK_INLINE Floats<8> odd_bits(const uint8_t* p) {
  return every_second(odd_bit_lanes<R, Shift>(p));
}
template <int R, int Shift>
IQK_INLINE Floats<16> odd_row_nibbles(const uint8_t* p) {
  const auto at = [](int l) { return 4 * (l / 2) + R; };
  const __m512i from = dwords_at(at);
  const __m512i bytes = permute({_mm512_broadcast_i64x4(load256(p))}, {from}).v;
  return {odd_numbers<Shift>(_mm512_srlv_epi32(bytes, _mm512_set1_epi64(int64_t{4} << 32)))};
}

template <int R, int Shift>
IQK_INLINE Floats<16> odd_listed_lanes(const uint8_t* p) {
  const auto at = [](int l) { return 4 * (l / 2 % 4) + R; };
  const __m512i from = dwords_at(at);
  const __m512i upper = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi32(4), 1);
  return {odd_numbers<Shift>(_mm512_srlv_epi32(permute(load_broadcast(p), {from}).v, upper))};
}
template <int R, int Shift>
IQK_INLINE Floats<8> odd_listed(const uint8_t* p) {
  return every_second(odd_listed_lanes<R, Shift>(p));
}

}  // namespace IQK_NS
