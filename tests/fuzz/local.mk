# Fuzz targets, each with the small driver: a bounded run in `make check`, a longer one in `make fuzz`.
fuzz_tests = tests/fuzz/fuzz_safetensors tests/fuzz/fuzz_index tests/fuzz/fuzz_tokenizer tests/fuzz/fuzz_text \
	tests/fuzz/fuzz_protocol tests/fuzz/fuzz_pictures tests/fuzz/fuzz_schedule tests/fuzz/fuzz_archive \
	tests/fuzz/fuzz_template tests/fuzz/fuzz_gguf
fuzz_common = tests/fuzz/driver.c tests/fuzz/folder.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_safetensors_SOURCES = tests/fuzz/fuzz_safetensors.c $(fuzz_common)
tests_fuzz_fuzz_safetensors_CFLAGS = $(unit_cflags)
tests_fuzz_fuzz_safetensors_LDADD = $(unit_ldadd)
tests_fuzz_fuzz_index_SOURCES = tests/fuzz/fuzz_index.c $(fuzz_common)
tests_fuzz_fuzz_index_CFLAGS = $(unit_cflags)
tests_fuzz_fuzz_index_LDADD = $(unit_ldadd)
tests_fuzz_fuzz_tokenizer_SOURCES = tests/fuzz/fuzz_tokenizer.c $(fuzz_common)
tests_fuzz_fuzz_tokenizer_CFLAGS = $(unit_cflags)
tests_fuzz_fuzz_tokenizer_LDADD = $(unit_ldadd)
tests_fuzz_fuzz_text_SOURCES = tests/fuzz/fuzz_text.c $(fuzz_common)
tests_fuzz_fuzz_text_CFLAGS = $(unit_cflags)
tests_fuzz_fuzz_text_LDADD = $(unit_ldadd)
tests_fuzz_fuzz_protocol_SOURCES = tests/fuzz/fuzz_protocol.c $(fuzz_common)
tests_fuzz_fuzz_protocol_CFLAGS = $(unit_cflags)
tests_fuzz_fuzz_protocol_LDADD = core/libsrqbase.la $(CJSON_LIBS)
tests_fuzz_fuzz_gguf_SOURCES = tests/fuzz/fuzz_gguf.c $(fuzz_common)
tests_fuzz_fuzz_gguf_CFLAGS = $(unit_cflags)
tests_fuzz_fuzz_gguf_LDADD = $(unit_ldadd)
tests_fuzz_fuzz_pictures_SOURCES = tests/fuzz/fuzz_pictures.c $(fuzz_common)
tests_fuzz_fuzz_pictures_CFLAGS = $(unit_cflags)
tests_fuzz_fuzz_pictures_LDADD = $(unit_ldadd)
tests_fuzz_fuzz_schedule_SOURCES = tests/fuzz/fuzz_schedule.c $(fuzz_common)
tests_fuzz_fuzz_schedule_CFLAGS = $(unit_cflags)
tests_fuzz_fuzz_schedule_LDADD = $(unit_ldadd)
tests_fuzz_fuzz_archive_SOURCES = tests/fuzz/fuzz_archive.c $(fuzz_common)
tests_fuzz_fuzz_archive_CFLAGS = $(unit_cflags)
tests_fuzz_fuzz_archive_LDADD = $(unit_ldadd)
tests_fuzz_fuzz_template_SOURCES = tests/fuzz/fuzz_template.c $(fuzz_common)
tests_fuzz_fuzz_template_CFLAGS = $(unit_cflags)
tests_fuzz_fuzz_template_LDADD = $(unit_ldadd) $(JANSSON_LIBS)
check_PROGRAMS += $(fuzz_tests)
TESTS += $(fuzz_tests)

fuzz: $(fuzz_tests)
	set -e; for t in $(fuzz_tests); do \
	  SRQ_FUZZ_INPUTS=1000000000 SRQ_FUZZ_SECONDS="$${SRQ_FUZZ_SECONDS:-60}" ./$$t; done
.PHONY: fuzz
