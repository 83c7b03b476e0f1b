/* Fixed-width types, and address types that cannot be mixed up. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

/* Host-physical, guest-physical and guest-linear addresses: a mix-up must not compile. */
/* clang-format off */
typedef struct { u64 v; } hpa_t;
typedef struct { u64 v; } gpa_t;
/* clang-format on */

static inline hpa_t hpa(u64 v) { return (hpa_t){v}; }
static inline gpa_t gpa(u64 v) { return (gpa_t){v}; }
static inline hpa_t hpa_add(hpa_t a, u64 n) { return (hpa_t){a.v + n}; }

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ull
#define PAGE_2M (1ull << 21)
#define PAGE_1G (1ull << 30)
#define KiB(n) ((u64)(n) << 10)
#define MiB(n) ((u64)(n) << 20)
#define GiB(n) ((u64)(n) << 30)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* clang-format off */
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
/* clang-format on */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define BIT(n) (1ull << (n))
/* The order of the smallest power of two that is not below n. */
static inline u32 order_of(u64 n) { return n > 1 ? 64 - (u32)__builtin_clzll(n - 1) : 0; }
/* clang-format off */
#define ALIGN_UP(x, a) (((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a) - 1))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a) - 1)) == 0)
/* clang-format on */

#define __noreturn __attribute__((noreturn))
#define __printf(f, a) __attribute__((format(printf, f, a)))
#define __packed __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))
#define __must_check __attribute__((warn_unused_result))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define static_assert _Static_assert
