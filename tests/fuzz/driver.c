/* Runs a fuzz target on its seeds and on mutations of them, the same ones in every run: input number i is a function of
 * i alone. Stops after SRQ_FUZZ_INPUTS inputs (default 20000) or SRQ_FUZZ_SECONDS seconds (default 2), whichever comes
 * first. When the target dies, the number of the input is printed; SRQ_FUZZ_FROM=NUMBER starts there. TAP output. */
#include "tests/fuzz/fuzz.h"

#include "core/base/clock.h"
#include "core/base/rng.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX 16384

static volatile uint64_t current;

struct draw {
    uint64_t input, index;
};

static uint64_t below(struct draw *d, uint64_t n)
{
    return srq_rng_below(0x66757a7a, d->input, d->index++, n);
}

/* Bytes that parsers trip over. */
static const struct fuzz_seed words[] = {
    FUZZ_SEED("{"),
    FUZZ_SEED("}"),
    FUZZ_SEED("["),
    FUZZ_SEED("]"),
    FUZZ_SEED("\""),
    FUZZ_SEED(":"),
    FUZZ_SEED(","),
    FUZZ_SEED("\\"),
    FUZZ_SEED("\n"),
    FUZZ_SEED("\\u0000"),
    FUZZ_SEED("-1"),
    FUZZ_SEED("0"),
    FUZZ_SEED("1e999"),
    FUZZ_SEED("null"),
    FUZZ_SEED("\\ud800"),
    FUZZ_SEED("true"),
    FUZZ_SEED("\0"),
    FUZZ_SEED("\xff"),
    FUZZ_SEED("../"),
    FUZZ_SEED("\xf0\x9f\x98\x80"),
    FUZZ_SEED("/"),
    FUZZ_SEED("\xed\xa0\x80"),
    FUZZ_SEED("\xcc\x81"),
    FUZZ_SEED("[[[[[[[["),
    FUZZ_SEED("9223372036854775807"),
    FUZZ_SEED("18446744073709551615"),
    FUZZ_SEED("99999999999999999999"),
    FUZZ_SEED("4294967296"),
};

/* Replaces `cut` bytes at `at` by `len` others; what does not fit is left out. */
static void replace(uint8_t *p, size_t *size, size_t at, size_t cut, const void *with, size_t len)
{
    uint8_t copy[INPUT_MAX];

    if (*size - cut + len > INPUT_MAX)
        return;
    if (len > 0)
        memcpy(copy, with, len); /* it may lie inside p */
    memmove(p + at + len, p + at + cut, *size - at - cut);
    if (len > 0)
        memcpy(p + at, copy, len);
    *size += len - cut;
}

static void mutate(struct draw *d, uint8_t *p, size_t *size)
{
    size_t at = (size_t)below(d, *size + 1), left = *size - at;
    size_t run = left > 0 ? 1 + (size_t)below(d, left < 32 ? left : 32) : 0;
    const struct fuzz_seed *w = &words[below(d, sizeof(words) / sizeof(words[0]))];
    const struct fuzz_seed *other = &fuzz_seeds[below(d, fuzz_seed_count)];
    size_t from = (size_t)below(d, other->len + 1), n = other->len - from;
    uint8_t byte = (uint8_t)below(d, 256);

    switch (below(d, 8)) {
    case 0:
        if (left > 0)
            p[at] ^= (uint8_t)(1u << below(d, 8));
        break;
    case 1:
        if (left > 0)
            p[at] = byte;
        break;
    case 2:
        replace(p, size, at, run, NULL, 0);
        break;
    case 3:
        replace(p, size, at, 0, w->data, w->len);
        break;
    case 4:
        replace(p, size, at, run, w->data, w->len);
        break;
    case 5: /* a stretch again */
        replace(p, size, at, 0, p + at, run);
        break;
    case 6: /* a piece of another seed */
        replace(p, size, at, 0, other->data + from, n < 64 ? n : 64);
        break;
    default: /* cut short */
        if (below(d, 4) == 0)
            *size = at;
        break;
    }
}

static void run_input(uint64_t i)
{
    struct draw d = { .input = i };
    const struct fuzz_seed *seed = &fuzz_seeds[i % fuzz_seed_count];
    uint8_t p[INPUT_MAX], *exact;
    size_t size = seed->len < INPUT_MAX ? seed->len : INPUT_MAX;
    uint64_t rounds = i < fuzz_seed_count ? 0 : 1 + below(&d, 6);

    memcpy(p, seed->data, size);
    while (rounds-- > 0)
        mutate(&d, p, &size);
    exact = malloc(size > 0 ? size : 1); /* so that a sanitizer sees the first byte too far */
    if (exact == NULL)
        abort();
    memcpy(exact, p, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void died(int signo)
{
    char text[96];
    int n = snprintf(text, sizeof(text), "not ok 1 - %s: input %llu, signal %d\n", fuzz_name,
                     (unsigned long long)current, signo);

    if (n > 0 && write(STDOUT_FILENO, text, (size_t)n) < 0)
        _exit(2);
    _exit(1);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

int main(void)
{
    uint64_t first = setting("SRQ_FUZZ_FROM", 0), count = setting("SRQ_FUZZ_INPUTS", 20000);
    double end = srq_clock_s() + (double)setting("SRQ_FUZZ_SECONDS", 2);

    printf("1..1\n");
    fflush(stdout);
    signal(SIGABRT, died);
#ifndef SRQ_ASAN /* whose own report says more */
    signal(SIGSEGV, died);
    signal(SIGBUS, died);
    signal(SIGFPE, died);
#endif
    for (current = first; current < first + count && srq_clock_s() < end; current++)
        run_input(current);
    printf("ok 1 - %s: %llu inputs\n", fuzz_name, (unsigned long long)(current - first));
    return 0;
}
