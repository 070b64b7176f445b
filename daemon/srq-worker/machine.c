/* --machine: what this machine's numerical work runs on, after the self-test of every backend. */
#include "daemon/srq-worker/commands.h"

#include "core/base/clock.h"
#include "core/base/simd.h"
#include "core/math/gemm.h"
#include "core/math/team.h"
#include "core/tensor/dtype.h"

int worker_machine(void)
{
    struct srq_error err = { 0 };
    double start = srq_clock_s();
    int rc = srq_team_start(srq_team_default(), &err);
    cJSON *o;

    if (rc == 0)
        rc = srq_gemm_start(NULL, &err);
    if (rc != 0)
        return worker_refuse(&err);
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "gemm", srq_gemm_describe());
    cJSON_AddStringToObject(o, "gemm_f32", srq_gemm_backend(SRQ_F32));
    cJSON_AddStringToObject(o, "gemm_bf16", srq_gemm_backend(SRQ_BF16));
    cJSON_AddStringToObject(o, "compute", srq_dtype_name(srq_gemm_preferred()));
    cJSON_AddStringToObject(o, "simd", srq_simd_name());
    cJSON_AddNumberToObject(o, "threads", srq_team_size());
    cJSON_AddNumberToObject(o, "self_test_s", srq_clock_s() - start);
    return worker_answer(o);
}
