# unit tests of model
unit_tests += tests/unit/test_model
tests_unit_test_model_SOURCES = tests/unit/test_model.c tests/unit/model_folder.c tests/unit/model_folder.h \
	tests/unit/test.h
tests_unit_test_model_CFLAGS = $(unit_cflags)
tests_unit_test_model_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_model_forward
tests_unit_test_model_forward_SOURCES = tests/unit/test_model_forward.c tests/unit/model_folder.c \
	tests/unit/model_folder.h tests/unit/test.h
tests_unit_test_model_forward_CFLAGS = $(unit_cflags)
tests_unit_test_model_forward_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_scale_pairs
tests_unit_test_scale_pairs_SOURCES = tests/unit/test_scale_pairs.c tests/unit/model_folder.c \
	tests/unit/model_folder.h tests/unit/routed_family.h tests/unit/test.h
tests_unit_test_scale_pairs_CFLAGS = $(unit_cflags)
tests_unit_test_scale_pairs_LDADD = $(unit_ldadd)

reference_models = \
	tests/reference/models/expected.safetensors \
	tests/reference/models/gemma-untied.json \
	tests/reference/models/gemma.json \
	tests/reference/models/llama-bias.json \
	tests/reference/models/llama-default.json \
	tests/reference/models/llama-dynamic.json \
	tests/reference/models/llama-gptq.json \
	tests/reference/models/llama-linear.json \
	tests/reference/models/llama-llama3.json \
	tests/reference/models/llama-longrope-long.json \
	tests/reference/models/llama-longrope-short.json \
	tests/reference/models/llama-tied.json \
	tests/reference/models/llama-yarn-mscale.json \
	tests/reference/models/llama-yarn.json \
	tests/reference/models/mistral-full.json \
	tests/reference/models/mistral.json \
	tests/reference/models/qwen2-types.json \
	tests/reference/models/qwen2-window.json \
	tests/reference/models/qwen2.json \
	tests/reference/models/qwen3.json \
	tests/reference/models/weights-bias.safetensors \
	tests/reference/models/weights-gemma.safetensors \
	tests/reference/models/weights-gptq.safetensors \
	tests/reference/models/weights-plain.safetensors \
	tests/reference/models/weights-qwen3.safetensors
EXTRA_DIST += tests/reference/model_reference.py $(reference_models)

unit_tests += tests/unit/test_unet
tests_unit_test_unet_SOURCES = tests/unit/test_unet.c tests/unit/test.h tests/unit/integer_model.c tests/unit/integer_model.h
tests_unit_test_unet_CFLAGS = $(unit_cflags)
tests_unit_test_unet_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_unet_condition
tests_unit_test_unet_condition_SOURCES = tests/unit/test_unet_condition.c tests/unit/test.h
tests_unit_test_unet_condition_CFLAGS = $(unit_cflags)
tests_unit_test_unet_condition_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_transformer_tape
tests_unit_test_transformer_tape_SOURCES = tests/unit/test_transformer_tape.c tests/unit/test.h
tests_unit_test_transformer_tape_CFLAGS = $(unit_cflags)
tests_unit_test_transformer_tape_LDADD = $(unit_ldadd)

# tests/reference/unets/NAME, made by unet_reference.py and condition_reference.py
reference_unets = tests/reference/condition_reference.py \
	tests/reference/unets/told/model_index.json tests/reference/unets/told/reference.safetensors \
	tests/reference/unets/told/scheduler/scheduler_config.json tests/reference/unets/told/unet/config.json \
	tests/reference/unets/told/unet/diffusion_pytorch_model.safetensors \
	tests/reference/unets/told_flat/model_index.json tests/reference/unets/told_flat/reference.safetensors \
	tests/reference/unets/told_flat/scheduler/scheduler_config.json tests/reference/unets/told_flat/unet/config.json \
	tests/reference/unets/told_flat/unet/diffusion_pytorch_model.safetensors \
	tests/reference/unets/bare/model_index.json tests/reference/unets/bare/reference.safetensors \
	tests/reference/unets/bare/scheduler/scheduler_config.json tests/reference/unets/bare/unet/config.json \
	tests/reference/unets/bare/unet/diffusion_pytorch_model.safetensors \
	tests/reference/unets/classes/model_index.json tests/reference/unets/classes/reference.safetensors \
	tests/reference/unets/classes/scheduler/scheduler_config.json tests/reference/unets/classes/unet/config.json \
	tests/reference/unets/classes/unet/diffusion_pytorch_model.safetensors \
	tests/reference/unets/headless/model_index.json tests/reference/unets/headless/reference.safetensors \
	tests/reference/unets/headless/scheduler/scheduler_config.json tests/reference/unets/headless/unet/config.json \
	tests/reference/unets/headless/unet/diffusion_pytorch_model.safetensors \
	tests/reference/unets/narrow/model_index.json tests/reference/unets/narrow/reference.safetensors \
	tests/reference/unets/narrow/scheduler/scheduler_config.json tests/reference/unets/narrow/unet/config.json \
	tests/reference/unets/narrow/unet/diffusion_pytorch_model.safetensors \
	tests/reference/unets/plain/model_index.json tests/reference/unets/plain/reference.safetensors \
	tests/reference/unets/plain/scheduler/scheduler_config.json tests/reference/unets/plain/unet/config.json \
	tests/reference/unets/plain/unet/diffusion_pytorch_model.safetensors \
	tests/reference/unets/shifted/model_index.json tests/reference/unets/shifted/reference.safetensors \
	tests/reference/unets/shifted/scheduler/scheduler_config.json tests/reference/unets/shifted/unet/config.json \
	tests/reference/unets/shifted/unet/diffusion_pytorch_model.safetensors
EXTRA_DIST += tests/reference/unet_reference.py $(reference_unets)
