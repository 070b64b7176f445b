unit_tests += tests/unit/test_tokenizer
tests_unit_test_tokenizer_SOURCES = tests/unit/test_tokenizer.c tests/unit/test.h tests/unit/folder.h
tests_unit_test_tokenizer_CFLAGS = $(unit_cflags)
tests_unit_test_tokenizer_LDADD = $(unit_ldadd) $(JANSSON_LIBS) -lpthread
EXTRA_DIST += tests/reference/tokenizer_cases.py tests/reference/tokenizer_reference.py \
	tests/reference/tokenizers/cases.json tests/reference/tokenizers/probes.json tests/reference/tokenizers/demo-lm/ids.json \
	tests/reference/tokenizers/bloom/ids.json tests/reference/tokenizers/bloom/tokenizer.json \
	tests/reference/tokenizers/clip/ids.json tests/reference/tokenizers/clip/tokenizer.json \
	tests/reference/tokenizers/contiguous/ids.json tests/reference/tokenizers/contiguous/tokenizer.json \
	tests/reference/tokenizers/digits/ids.json tests/reference/tokenizers/digits/tokenizer.json \
	tests/reference/tokenizers/dropped/ids.json tests/reference/tokenizers/dropped/tokenizer.json \
	tests/reference/tokenizers/fused/ids.json tests/reference/tokenizers/fused/tokenizer.json \
	tests/reference/tokenizers/gpt2-files/ids.json tests/reference/tokenizers/gpt2-files/merges.txt \
	tests/reference/tokenizers/gpt2-files/vocab.json tests/reference/tokenizers/gpt2/ids.json \
	tests/reference/tokenizers/gpt2/tokenizer.json tests/reference/tokenizers/llama2/ids.json \
	tests/reference/tokenizers/llama2/tokenizer.json tests/reference/tokenizers/llama3/ids.json \
	tests/reference/tokenizers/llama3/tokenizer.json tests/reference/tokenizers/merged_with_next/ids.json \
	tests/reference/tokenizers/merged_with_next/tokenizer.json \
	tests/reference/tokenizers/merged_with_previous/ids.json \
	tests/reference/tokenizers/merged_with_previous/tokenizer.json tests/reference/tokenizers/prefix/ids.json \
	tests/reference/tokenizers/prefix/tokenizer.json tests/reference/tokenizers/qwen/ids.json \
	tests/reference/tokenizers/qwen/tokenizer.json tests/reference/tokenizers/smollm/ids.json \
	tests/reference/tokenizers/smollm/tokenizer.json tests/reference/tokenizers/unknown/ids.json \
	tests/reference/tokenizers/unknown/tokenizer.json

unit_tests += tests/unit/test_samples
tests_unit_test_samples_SOURCES = tests/unit/test_samples.c tests/unit/test.h tests/unit/folder.h
tests_unit_test_samples_CFLAGS = $(unit_cflags)
tests_unit_test_samples_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_tokenizer_cases
tests_unit_test_tokenizer_cases_SOURCES = tests/unit/test_tokenizer_cases.c tests/unit/test.h tests/unit/folder.h
tests_unit_test_tokenizer_cases_CFLAGS = $(unit_cflags)
tests_unit_test_tokenizer_cases_LDADD = $(unit_ldadd) $(JANSSON_LIBS)

unit_tests += tests/unit/test_template
tests_unit_test_template_SOURCES = tests/unit/test_template.c tests/unit/test.h
tests_unit_test_template_CFLAGS = $(unit_cflags)
tests_unit_test_template_LDADD = $(unit_ldadd) $(JANSSON_LIBS)
EXTRA_DIST += tests/reference/template_cases.py tests/reference/template_reference.py \
	tests/reference/templates/cases.json
