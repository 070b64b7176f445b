/* Numbers of half precision as two bytes, the lower first. */
#ifndef SRQ_GRID_PACK_F16_H
#define SRQ_GRID_PACK_F16_H

#include "core/tensor/tensor.h"

static inline void put_f16(uint8_t *dst, float x)
{
    uint16_t half = srq_f32_to_f16(x);

    dst[0] = (uint8_t)half;
    dst[1] = (uint8_t)(half >> 8);
}

static inline float get_f16(const uint8_t *src)
{
    return srq_f16_to_f32((uint16_t)(src[0] | src[1] << 8));
}

#endif
