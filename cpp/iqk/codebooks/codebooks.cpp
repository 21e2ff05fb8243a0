// The only definitions of the codebooks: grids are expanded from their packed codes by the compiler.
//
// Data of the MIT-licensed ggml, llama.cpp and ik_llama.cpp projects, see LICENSE-codebooks.
#include "iqk/codebooks/codebooks.h"

#include "iqk/codebooks/packed_grids.h"

namespace iqk {
namespace {

// A grid entry: byte j is the level of digit j plus the bias.
template <class Entry, int Levels>
constexpr Entry expand(int code, const int (&levels)[Levels], int bias) {
  constexpr int kDigitBits = sizeof(Entry) == 8 ? 2 : 3;
  Entry entry = 0;
  for (int j = 0; j < static_cast<int>(sizeof(Entry)); ++j)
    entry |= static_cast<Entry>(levels[code >> kDigitBits * j & ((1 << kDigitBits) - 1)] + bias) << 8 * j;
  return entry;
}

constexpr int kIq2Levels[] = {8, 25, 43};
constexpr int kIq3xxsLevels[] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr int kIq3sLevels[] = {1, 3, 5, 7, 9, 11, 13, 15};
constexpr int kIq1sLevels[] = {-1, 0, 1};

constexpr uint64_t iq2xxs(int n) { return expand<uint64_t>(kIq2xxsCodes[n], kIq2Levels, kIq2Bias); }
constexpr uint64_t iq2xs(int n) { return expand<uint64_t>(kIq2xsCodes[n], kIq2Levels, kIq2Bias); }
constexpr uint64_t iq2s(int n) { return expand<uint64_t>(kIq2sCodes[n], kIq2Levels, kIq2Bias); }
constexpr uint32_t iq3xxs(int n) { return expand<uint32_t>(kIq3xxsCodes[n], kIq3xxsLevels, kIq3xxsBias); }
constexpr uint32_t iq3s(int n) { return expand<uint32_t>(kIq3sCodes[n], kIq3sLevels, kIq3sBias); }
constexpr uint64_t iq1s(int n) { return expand<uint64_t>(kIq1sCodes[n], kIq1sLevels, kIq1sBias); }

}  // namespace

// f(n), f(n + 1), .. for an initialiser list: only elements written out one by one fill a plain array.
#define IQK_TIMES_4(f, n) f(n), f(n + 1), f(n + 2), f(n + 3)
#define IQK_TIMES_16(f, n) \
  IQK_TIMES_4(f, n), IQK_TIMES_4(f, n + 4), IQK_TIMES_4(f, n + 8), IQK_TIMES_4(f, n + 12)
#define IQK_TIMES_64(f, n) \
  IQK_TIMES_16(f, n), IQK_TIMES_16(f, n + 16), IQK_TIMES_16(f, n + 32), IQK_TIMES_16(f, n + 48)
#define IQK_TIMES_256(f, n) \
  IQK_TIMES_64(f, n), IQK_TIMES_64(f, n + 64), IQK_TIMES_64(f, n + 128), IQK_TIMES_64(f, n + 192)
#define IQK_TIMES_512(f, n) IQK_TIMES_256(f, n), IQK_TIMES_256(f, n + 256)
#define IQK_TIMES_1024(f, n) IQK_TIMES_512(f, n), IQK_TIMES_512(f, n + 512)
#define IQK_TIMES_2048(f, n) IQK_TIMES_1024(f, n), IQK_TIMES_1024(f, n + 1024)

constexpr uint8_t iq2xxs_plane(int n) { return plane_byte8(kIq2xxsCodes[n % 256], n / 256); }
constexpr uint8_t iq2xs_plane(int n) { return plane_byte8(kIq2xsCodes[n % 512], n / 512); }
constexpr uint8_t iq2s_plane(int n) { return plane_byte8(kIq2sCodes[n % 1024], n / 1024); }
constexpr uint8_t iq3xxs_plane(int n) { return plane_byte4(kIq3xxsCodes[n % 256], n / 256); }
constexpr uint8_t iq3s_plane(int n) { return plane_byte4(kIq3sCodes[n % 512], n / 512); }
alignas(64) constexpr uint8_t kIq2xxsPlanes[512] = {IQK_TIMES_512(iq2xxs_plane, 0)};
alignas(64) constexpr uint8_t kIq2xsPlanes[1024] = {IQK_TIMES_1024(iq2xs_plane, 0)};
alignas(64) constexpr uint8_t kIq2sPlanes[2048] = {IQK_TIMES_2048(iq2s_plane, 0)};
alignas(64) constexpr uint8_t kIq3xxsPlanes[512] = {IQK_TIMES_512(iq3xxs_plane, 0)};
alignas(64) constexpr uint8_t kIq3sPlanes[1024] = {IQK_TIMES_1024(iq3s_plane, 0)};

constexpr int iq2_biased(int digit) { return digit < 3 ? kIq2Levels[digit] + kIq2Bias : 0; }
constexpr int iq3xxs_biased(int digit) { return kIq3xxsLevels[digit] + kIq3xxsBias; }
constexpr int iq3s_biased(int digit) { return kIq3sLevels[digit] + kIq3sBias; }
constexpr uint8_t iq2_level(int n) { return signed_level(kLevelBits8[n / 64], n % 64, iq2_biased, kIq2Bias); }
constexpr uint8_t iq3xxs_level(int n) {
  return signed_level(kLevelBits4[n / 64], n % 64, iq3xxs_biased, kIq3xxsBias);
}
constexpr uint8_t iq3s_level(int n) {
  return signed_level(kLevelBits4[n / 64], n % 64, iq3s_biased, kIq3sBias);
}
alignas(64) constexpr uint8_t kIq2Signed[256] = {IQK_TIMES_256(iq2_level, 0)};
alignas(64) constexpr uint8_t kIq3xxsSigned[128] = {IQK_TIMES_64(iq3xxs_level, 0),
                                                    IQK_TIMES_64(iq3xxs_level, 64)};
alignas(64) constexpr uint8_t kIq3sSigned[128] = {IQK_TIMES_64(iq3s_level, 0), IQK_TIMES_64(iq3s_level, 64)};
alignas(64) constexpr uint64_t kIq2xxsGrid[256] = {IQK_TIMES_256(iq2xxs, 0)};
alignas(64) constexpr uint64_t kIq2xsGrid[512] = {IQK_TIMES_512(iq2xs, 0)};
alignas(64) constexpr uint64_t kIq2sGrid[1024] = {IQK_TIMES_1024(iq2s, 0)};
alignas(64) constexpr uint32_t kIq3xxsGrid[256] = {IQK_TIMES_256(iq3xxs, 0)};
alignas(64) constexpr uint32_t kIq3sGrid[512] = {IQK_TIMES_512(iq3s, 0)};
alignas(64) constexpr uint64_t kIq1sGrid[2048] = {IQK_TIMES_2048(iq1s, 0)};

// clang-format off
alignas(64) constexpr int8_t kIq2nl[2][4] = {
    {-31, -13, 1, 17},
    {-26, -8, 6, 22},
};
alignas(64) constexpr int8_t kIq3nl[2][8] = {
    {-63, -40, -23, -10, 1, 13, 28, 47},
    {-59, -36, -19, -6, 5, 17, 32, 51},
};
alignas(64) constexpr int8_t kIq4k[2][16] = {
    {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113},
    {-123, -100, -79, -61, -45, -31, -18, -6, 5, 17, 29, 42, 57, 73, 93, 117},
};
alignas(64) constexpr int8_t kIq5nl[2][32] = {
    {-126, -114, -103, -92, -83, -74, -65, -57, -50, -43, -36, -30, -24, -18, -12, -6,
     -1, 5, 11, 17, 23, 29, 36, 43, 51, 59, 68, 77, 87, 97, 109, 121},
    {-124, -112, -101, -90, -81, -72, -63, -55, -48, -41, -34, -28, -22, -16, -10, -4,
     1, 7, 13, 19, 25, 31, 38, 45, 53, 61, 70, 79, 89, 99, 111, 123},
};
alignas(64) constexpr int8_t kIq6nl[2][64] = {
    {-127, -121, -115, -109, -104, -98, -93, -88, -84, -79, -74, -70, -66, -62, -58, -54,
     -51, -47, -44, -40, -37, -34, -31, -28, -25, -22, -19, -16, -13, -11, -8, -5,
     -2, 0, 3, 6, 9, 12, 14, 17, 20, 23, 27, 30, 33, 36, 40, 44,
     47, 51, 55, 59, 63, 68, 72, 77, 82, 87, 92, 98, 103, 109, 115, 121},
    {-126, -120, -114, -108, -103, -97, -92, -87, -83, -78, -73, -69, -65, -61, -57, -53,
     -50, -46, -43, -39, -36, -33, -30, -27, -24, -21, -18, -15, -12, -10, -7, -4,
     -1, 1, 4, 7, 10, 13, 15, 18, 21, 24, 28, 31, 34, 37, 41, 45,
     48, 52, 56, 60, 64, 69, 73, 78, 83, 88, 93, 99, 104, 110, 116, 122},
};
alignas(64) constexpr float kIq6Cubic[2][64] = {
    {-0x1.fcp6f, -0x1.e36aaep6f, -0x1.cbb3c2p6f, -0x1.b4d3dcp6f, -0x1.9ec3a4p6f, -0x1.897bcp6f,
     -0x1.74f4d2p6f, -0x1.612782p6f, -0x1.4e0c72p6f, -0x1.3b9c48p6f, -0x1.29cfaap6f, -0x1.189f3ep6f,
     -0x1.0803a4p6f, -0x1.efeb0ep5f, -0x1.d0db0ep5f, -0x1.b2c89ap5f, -0x1.95a4f8p5f, -0x1.79616cp5f,
     -0x1.5def4cp5f, -0x1.433fdcp5f, -0x1.294464p5f, -0x1.0fee3p5f, -0x1.ee5d2p4f, -0x1.bded8p4f,
     -0x1.8e7028p4f, -0x1.5fc7acp4f, -0x1.31d694p4f, -0x1.047f8p4f, -0x1.af49fp3f, -0x1.565338p3f,
     -0x1.fbc004p2f, -0x1.4b6abp2f, -0x1.3662p1f, 0x1.562dbp-2f, 0x1.8d8d68p1f, 0x1.796fd6p2f,
     0x1.16ea2cp3f, 0x1.7234e4p3f, 0x1.ced2ecp3f, 0x1.167f86p4f, 0x1.467a14p4f, 0x1.77769p4f,
     0x1.a99262p4f, 0x1.dceafap4f, 0x1.08cedcp5f, 0x1.23e41p5f, 0x1.3fc3c2p5f, 0x1.5c7caep5f,
     0x1.7a1d8cp5f, 0x1.98b51p5f, 0x1.b851f2p5f, 0x1.d902ep5f, 0x1.fad69ep5f, 0x1.0eedeap6f,
     0x1.2110ap6f, 0x1.33daccp6f, 0x1.4753c4p6f, 0x1.5b82e8p6f, 0x1.706f98p6f, 0x1.862124p6f,
     0x1.9c9eeep6f, 0x1.b3f05p6f, 0x1.cc1ca4p6f, 0x1.e52b48p6f},
    {-0x1.f8p6f, -0x1.df6aaep6f, -0x1.c7b3c2p6f, -0x1.b0d3dcp6f, -0x1.9ac3a4p6f, -0x1.857bcp6f,
     -0x1.70f4d2p6f, -0x1.5d2782p6f, -0x1.4a0c72p6f, -0x1.379c48p6f, -0x1.25cfaap6f, -0x1.149f3ep6f,
     -0x1.0403a4p6f, -0x1.e7eb0ep5f, -0x1.c8db0ep5f, -0x1.aac89ap5f, -0x1.8da4f8p5f, -0x1.71616cp5f,
     -0x1.55ef4cp5f, -0x1.3b3fdcp5f, -0x1.214464p5f, -0x1.07ee3p5f, -0x1.de5d2p4f, -0x1.aded8p4f,
     -0x1.7e7028p4f, -0x1.4fc7acp4f, -0x1.21d694p4f, -0x1.e8ffp3f, -0x1.8f49fp3f, -0x1.365338p3f,
     -0x1.bbc004p2f, -0x1.0b6abp2f, -0x1.6cc4p0f, 0x1.558b6cp0f, 0x1.06c6b4p2f, 0x1.b96fd6p2f,
     0x1.36ea2cp3f, 0x1.9234e4p3f, 0x1.eed2ecp3f, 0x1.267f86p4f, 0x1.567a14p4f, 0x1.87769p4f,
     0x1.b99262p4f, 0x1.eceafap4f, 0x1.10cedcp5f, 0x1.2be41p5f, 0x1.47c3c2p5f, 0x1.647caep5f,
     0x1.821d8cp5f, 0x1.a0b51p5f, 0x1.c051f2p5f, 0x1.e102ep5f, 0x1.016b5p6f, 0x1.12edeap6f,
     0x1.2510ap6f, 0x1.37daccp6f, 0x1.4b53c4p6f, 0x1.5f82e8p6f, 0x1.746f98p6f, 0x1.8a2124p6f,
     0x1.a09eeep6f, 0x1.b7f05p6f, 0x1.d01ca4p6f, 0x1.e92b48p6f},
};
alignas(64) constexpr int8_t kIq2klPairs[32][2] = {
    {-63, -23}, {-63, 13}, {-40, -63}, {-40, -10}, {-40, 13}, {-40, 47}, {-23, -40}, {-23, -23},
    {-23, 1}, {-23, 13}, {-23, 28}, {-10, -63}, {-10, 1}, {-10, 13}, {-10, 47}, {1, -23},
    {1, -10}, {1, 1}, {1, 13}, {1, 28}, {13, -40}, {13, -23}, {13, -10}, {13, 1},
    {13, 13}, {28, -63}, {28, -23}, {28, 1}, {28, 28}, {28, 47}, {47, -23}, {47, 13},
};
alignas(64) constexpr uint32_t kTrellisPowers[8] = {
    0xcbac1fed, 0xc8734169, 0xbd2b4535, 0xe50c7d11, 0x1220d7bd, 0x94839cf9, 0x58267985, 0x60b19b21,
};
// clang-format on

}  // namespace iqk
