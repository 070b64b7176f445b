core_libsrq_la_SOURCES += core/math/team.c core/math/team.h core/math/gemm_backend.c core/math/gemm.h \
	core/math/gemm_backend.h core/math/gemm_check.c core/math/gemm_openblas.c core/math/gemm_onednn.c \
	core/math/gemm_plain.c core/math/gemm_rehearse.c core/math/kernels.c core/math/kernels.h core/math/lanes.h core/math/vec.h \
	core/math/symmetric.c core/math/symmetric.h core/math/int8_backend.c core/math/int8.h core/math/int8_backend.h \
	core/math/int8_check.c core/math/int8_onednn.c core/math/int8_plain.c \
	core/math/gemm_panels.c core/math/panels.h core/math/panels_avx512.h core/math/panels_plain.c
core_libsrq_la_LIBADD += $(kernel_libs)

# The kernels once per instruction set, picked at run time. Products and sums are contracted where the set has FMA.
kernel_libs = core/math/libkernels_base.la
noinst_LTLIBRARIES += core/math/libkernels_base.la
core_math_libkernels_base_la_SOURCES = core/math/kernels_isa.c
core_math_libkernels_base_la_CPPFLAGS = $(AM_CPPFLAGS) -DSRQ_KERNELS=srq_kernels_base -DSRQ_LANES=4
core_math_libkernels_base_la_CFLAGS = $(AM_CFLAGS) -ffp-contract=fast
if X86_KERNELS
kernel_libs += core/math/libkernels_avx2.la core/math/libkernels_avx512.la core/math/libint8_avx2.la \
	core/math/libint8_vnni.la
noinst_LTLIBRARIES += core/math/libkernels_avx2.la core/math/libkernels_avx512.la core/math/libint8_avx2.la \
	core/math/libint8_vnni.la
kernel_libs += core/math/libpanels_f32_avx2.la core/math/libpanels_f32_avx512.la
noinst_LTLIBRARIES += core/math/libpanels_f32_avx2.la core/math/libpanels_f32_avx512.la
core_math_libpanels_f32_avx2_la_SOURCES = core/math/panels_f32_isa.c
core_math_libpanels_f32_avx2_la_CPPFLAGS = $(AM_CPPFLAGS) -DSRQ_PANELS=srq_panels_f32_avx2 \
	-DSRQ_PANELS_WIDE=srq_panels_wide_avx2 -DSRQ_LANES=8
core_math_libpanels_f32_avx2_la_CFLAGS = $(AM_CFLAGS) -ffp-contract=fast -mavx2 -mfma
core_math_libpanels_f32_avx512_la_SOURCES = core/math/panels_f32_isa.c
core_math_libpanels_f32_avx512_la_CPPFLAGS = $(AM_CPPFLAGS) -DSRQ_PANELS=srq_panels_f32_avx512 \
	-DSRQ_PANELS_WIDE=srq_panels_wide_avx512 -DSRQ_LANES=16
core_math_libpanels_f32_avx512_la_CFLAGS = $(AM_CFLAGS) -ffp-contract=fast -mavx2 -mfma -mavx512f
if X86_PANELS
kernel_libs += core/math/libpanels_avx512.la core/math/libpanels_amx.la
noinst_LTLIBRARIES += core/math/libpanels_avx512.la core/math/libpanels_amx.la
core_math_libpanels_avx512_la_SOURCES = core/math/panels_avx512.c
core_math_libpanels_avx512_la_CFLAGS = $(AM_CFLAGS) -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512bf16
core_math_libpanels_amx_la_SOURCES = core/math/panels_amx.c
core_math_libpanels_amx_la_CFLAGS = $(AM_CFLAGS) -mamx-tile -mamx-bf16
endif
if X86_FP16
kernel_libs += core/math/libpanels_fp16.la
noinst_LTLIBRARIES += core/math/libpanels_fp16.la
core_math_libpanels_fp16_la_SOURCES = core/math/panels_fp16.c
core_math_libpanels_fp16_la_CFLAGS = $(AM_CFLAGS) -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512fp16
endif
core_math_libint8_avx2_la_SOURCES = core/math/int8_isa.c
core_math_libint8_avx2_la_CPPFLAGS = $(AM_CPPFLAGS) -DSRQ_INT8_ENGINE=srq_int8_avx2
core_math_libint8_avx2_la_CFLAGS = $(AM_CFLAGS) -mavx2
core_math_libint8_vnni_la_SOURCES = core/math/int8_isa.c
core_math_libint8_vnni_la_CPPFLAGS = $(AM_CPPFLAGS) -DSRQ_INT8_ENGINE=srq_int8_vnni
core_math_libint8_vnni_la_CFLAGS = $(AM_CFLAGS) -mavx2 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
core_math_libkernels_avx2_la_SOURCES = core/math/kernels_isa.c
core_math_libkernels_avx2_la_CPPFLAGS = $(AM_CPPFLAGS) -DSRQ_KERNELS=srq_kernels_avx2 -DSRQ_LANES=8
core_math_libkernels_avx2_la_CFLAGS = $(AM_CFLAGS) -ffp-contract=fast -mavx2 -mfma -mf16c
core_math_libkernels_avx512_la_SOURCES = core/math/kernels_isa.c
core_math_libkernels_avx512_la_CPPFLAGS = $(AM_CPPFLAGS) -DSRQ_KERNELS=srq_kernels_avx512 -DSRQ_LANES=16
core_math_libkernels_avx512_la_CFLAGS = $(AM_CFLAGS) -ffp-contract=fast -mavx2 -mfma -mf16c -mavx512f -mavx512bw \
	-mavx512dq -mavx512vl -mprefer-vector-width=512
endif
