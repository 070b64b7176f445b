/* Tiles by TDPBF16PS: two by two tiles of 16 x 16 sums, two of A's rows and two of a panel's columns; a tile of an
 * operand is 16 rows of 32 elements. Names of tiles: 0 … 3 sums, 4 and 5 A, 6 and 7 B.
 *
 * The state of tiles is large: the system has to be asked for it once (arch_prctl(2)), each thread sets their shapes
 * before it uses them, and gives them back after. */
#include "core/math/panels.h"

#include <cpuid.h>
#include <errno.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REQUEST_PERMISSION 0x1023 /* ARCH_REQ_XCOMP_PERM */
#define TILE_DATA 18              /* the state's number in XCR0 */
#define HALF 16

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_a_row[16];
    uint8_t rows[16];
};

/* All tiles alike. Not a variable of the function: compilers take the instruction to read eight bytes of it only. */
static const struct tile_config all_alike = {
    .palette = 1,
    .bytes_a_row = { 64, 64, 64, 64, 64, 64, 64, 64 },
    .rows = { HALF, HALF, HALF, HALF, HALF, HALF, HALF, HALF },
};

static void enter(void)
{
    _tile_loadconfig(&all_alike);
}

static void leave(void)
{
    _tile_release();
}

/* Sums that go on from c, or begin with 0. */
static void take_sums(const struct srq_panel_tile *t, bool both)
{
    const int64_t step = t->ldc * (int64_t)sizeof(float);

    if (!t->add) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        return;
    }
    _tile_loadd(0, t->c, step);
    _tile_loadd(1, t->c + HALF, step);
    if (both) {
        _tile_loadd(2, t->c + HALF * t->ldc, step);
        _tile_loadd(3, t->c + HALF * t->ldc + HALF, step);
    }
}

static void tile(const struct srq_panel_tile *t, int rows)
{
    const bool both = rows > HALF;
    const int64_t a_step = t->lda * (int64_t)sizeof(uint16_t), c_step = t->ldc * (int64_t)sizeof(float);
    const uint16_t *a = t->a, *b = t->b;

    take_sums(t, both);
    for (int64_t p = 0; p < t->steps; p += HALF, a += 2 * HALF, b += (int64_t)HALF * 2 * SRQ_PANEL_COLS) {
        _tile_loadd(4, a, a_step);
        _tile_loadd(6, b, 4 * SRQ_PANEL_COLS);
        _tile_loadd(7, b + 2 * HALF, 4 * SRQ_PANEL_COLS);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (both) {
            _tile_loadd(5, a + HALF * t->lda, a_step);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, t->c, c_step);
    _tile_stored(1, t->c + HALF, c_step);
    if (both) {
        _tile_stored(2, t->c + HALF * t->ldc, c_step);
        _tile_stored(3, t->c + HALF * t->ldc + HALF, c_step);
    }
}

static bool has_instructions(void)
{
    unsigned a, b, c, d, low, high;

    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & 1u << 22) == 0 || (d & 1u << 24) == 0)
        return false;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & 1u << 27) == 0) /* XGETBV is there */
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 3u << 17) == 3u << 17; /* the system saves tiles and their shapes */
}

static bool usable(void)
{
    /* Packing and storing is by vectors. */
    return srq_panels_avx512.usable() && has_instructions() &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

const struct srq_panel_kernel srq_panels_amx = {
    .name = "amx",
    .dtype = SRQ_BF16,
    .packed = SRQ_BF16,
    .rows = 2 * HALF,
    .row_step = HALF,
    .k_step = 2 * HALF,
    .tiles = 4,
    .stretch = 1024,
    .usable = usable,
    .enter = enter,
    .leave = leave,
    .tile = tile,
    .pack_panel = srq_pack_panel_avx512,
    .pack_rows = srq_pack_rows_avx512,
    .store = srq_panel_store_avx512,
    .of_packed = &srq_panels_amx,
};
