/* The stages of a job. */
#include "core/proto/proto.h"

const char *srq_stage_name(unsigned stage)
{
    static const char *const names[SRQ_STAGES] = { "load",     "calibrate", "score",    "allocate", "transform",
                                                   "quantize", "refine",    "evaluate", "export" };

    return stage < SRQ_STAGES ? names[stage] : "load";
}
