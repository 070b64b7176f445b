/* Bytes of a terminal into keys: sequences whole and split by a slow line, mouse, pastes, anything at all. */
#include "tests/unit/test.h"

#include "tui/srqtop/decode.h"

#include <stdlib.h>

enum { NOBODY = -1 };

struct machine {
    struct decoder d;
    double now;
    struct top_key keys[64];
    int count;
};

static void begin(struct machine *m)
{
    memset(m, 0, sizeof(*m));
    decode_init(&m->d, true);
    m->now = 100;
}

static void look(struct machine *m)
{
    struct top_key key;

    while (decode_next(&m->d, &key, m->now))
        if (m->count < 64)
            m->keys[m->count++] = key;
}

/* The bytes, each `gap` seconds after the one before. */
static void send(struct machine *m, const char *bytes, size_t len, double gap)
{
    for (size_t i = 0; i < len; i++) {
        m->now += gap;
        look(m);
        decode_byte(&m->d, (unsigned char)bytes[i], m->now);
        look(m);
    }
}

static void type(struct machine *m, const char *bytes)
{
    send(m, bytes, strlen(bytes), 0);
}

static void wait_for(struct machine *m, double s)
{
    m->now += s;
    look(m);
}

static void assert_keys(const struct machine *m, const int *want)
{
    int n = 0;

    for (int i = 0; i < m->count; i++) {
        if (m->keys[i].code != TOP_KEY_NONE)
            assert_int_equal(m->keys[i].code, want[n++]);
    }
    assert_int_equal(want[n], NOBODY);
}

static const struct {
    const char *bytes;
    int key;
} rows[] = {
    { "\033[A", TOP_KEY_UP },
    { "\033OA", TOP_KEY_UP },
    { "\033[B", TOP_KEY_DOWN },
    { "\033[C", TOP_KEY_RIGHT },
    { "\033[D", TOP_KEY_LEFT },
    { "\033[H", TOP_KEY_HOME },
    { "\033OF", TOP_KEY_END },
    { "\033[1~", TOP_KEY_HOME },
    { "\033[2~", TOP_KEY_INSERT },
    { "\033[3~", TOP_KEY_DELETE },
    { "\033[4~", TOP_KEY_END },
    { "\033[5~", TOP_KEY_PAGE_UP },
    { "\033[6~", TOP_KEY_PAGE_DOWN },
    { "\033[Z", TOP_KEY_BACKTAB },
    { "\033OP", TOP_KEY_F1 },
    { "\033[11~", TOP_KEY_F1 },
    { "\033[15~", TOP_KEY_F5 },
    { "\033[17~", TOP_KEY_F6 },
    { "\033[21~", TOP_KEY_F10 },
    { "\033[[B", TOP_KEY_F2 },
    { "\033[1;5A", TOP_KEY_NONE },
    { "\033[99~", TOP_KEY_NONE },
    { "\033[?1;2c", TOP_KEY_NONE },
    { "a", 'a' },
    { "\xc3\xa9", 0xe9 },
    { "\xf0\x9f\x98\x80", 0x1f600 },
    { "\r", TOP_KEY_ENTER },
    { "\n", TOP_KEY_ENTER },
    { "\b", TOP_KEY_BACKSPACE },
    { "\x7f", TOP_KEY_BACKSPACE },
    { "\xff", TOP_KEY_NONE },
    { "\033[<0;3;4M", TOP_KEY_CLICK },
    { "\033[<65;3;4M", TOP_KEY_WHEEL_DOWN },
    { "\033[<0;3;4m", TOP_KEY_NONE },
    { "\033[M !!", TOP_KEY_CLICK },
    { "\033[M`!!", TOP_KEY_WHEEL_UP },
    { "\033[200~", TOP_KEY_PASTE },
};

static void sequences_are_keys_however_slowly_they_come(void **state)
{
    static const double gaps[] = { 0, 0.2, 0.45 };

    (void)state;
    for (size_t g = 0; g < 3; g++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            struct machine m;

            begin(&m);
            send(&m, rows[i].bytes, strlen(rows[i].bytes), gaps[g]);
            if (m.count != 1 || m.keys[0].code != rows[i].key)
                fail_msg("row %zu at %g s a byte: %d keys, the first %d, not %d", i, gaps[g], m.count, m.keys[0].code,
                         rows[i].key);
            assert_true(decode_wait(&m.d, m.now) < 0 || m.keys[0].code == TOP_KEY_PASTE);
        }
    }
}

static void a_click_has_its_place(void **state)
{
    struct machine m;

    (void)state;
    begin(&m);
    type(&m, "\033[<0;120;34M\033[M \x2a\x22");
    assert_int_equal(m.count, 2);
    assert_int_equal(m.keys[0].x, 119);
    assert_int_equal(m.keys[0].y, 33);
    assert_int_equal(m.keys[1].x, 9);
    assert_int_equal(m.keys[1].y, 1);
}

static void a_report_on_a_mode_is_no_key(void **state)
{
    static const struct {
        const char *bytes;
        bool knows;
    } reports[] = { { "\033[?2026;2$y", true },  { "\033[?2026;1$y", true },  { "\033[?2026;3$y", true },
                    { "\033[?2026;0$y", false }, { "\033[?2026;4$y", false }, { "\033[?1006;1$y", false } };
    static const int none[] = { NOBODY };
    struct machine m;

    (void)state;
    for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
        begin(&m);
        type(&m, reports[i].bytes);
        assert_keys(&m, none);
        assert_int_equal(m.d.synchronized, reports[i].knows);
    }
}

static void esc_alone_is_esc_after_its_time(void **state)
{
    struct machine m;

    (void)state;
    begin(&m);
    type(&m, "\033");
    wait_for(&m, DECODE_ESC_S - 0.01);
    assert_int_equal(m.count, 0);
    assert_true(decode_wait(&m.d, m.now) > 0);
    wait_for(&m, 0.02);
    assert_keys(&m, (const int[]){ TOP_KEY_ESC, NOBODY });
    assert_true(decode_wait(&m.d, m.now) < 0);
}

static void esc_before_another_key_is_esc_at_once(void **state)
{
    struct machine m;

    (void)state;
    begin(&m);
    type(&m, "\033q\033\033[A");
    assert_keys(&m, (const int[]){ TOP_KEY_ESC, 'q', TOP_KEY_ESC, TOP_KEY_UP, NOBODY });
}

static void a_sequence_that_breaks_off_gives_no_letters(void **state)
{
    static const char *const broken[] = { "\033[", "\033[1", "\033O", "\033[<0;3", "\033[M!", "\xe2\x82" };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct machine m;

        begin(&m);
        type(&m, broken[i]);
        wait_for(&m, DECODE_REST_S + 0.1);
        assert_keys(&m, (const int[]){ NOBODY });
        type(&m, "x");
        assert_keys(&m, (const int[]){ 'x', NOBODY });
    }
}

static void a_paste_is_text_to_its_end(void **state)
{
    struct machine m;

    (void)state;
    begin(&m);
    send(&m, "\033[200~8\r\033[Aq\003\033[201~q", 20, 0.3);
    for (int i = 1; i + 2 < m.count; i++)
        assert_true(m.keys[i].pasted);
    assert_int_equal(m.keys[0].code, TOP_KEY_PASTE);
    assert_int_equal(m.keys[1].code, '8');
    assert_int_equal(m.keys[2].code, TOP_KEY_ENTER);
    assert_int_equal(m.keys[m.count - 1].code, 'q');
    assert_false(m.keys[m.count - 1].pasted);
}

static void a_paste_without_end_is_over_after_a_silence(void **state)
{
    struct machine m;

    (void)state;
    begin(&m);
    type(&m, "\033[200~ab\033[20");
    wait_for(&m, DECODE_PASTE_S - 1);
    type(&m, "c");
    assert_true(m.keys[m.count - 1].pasted);
    wait_for(&m, DECODE_PASTE_S + 0.1);
    type(&m, "q");
    assert_int_equal(m.keys[m.count - 1].code, 'q');
    assert_false(m.keys[m.count - 1].pasted);
}

static void a_terminals_own_sequences_come_first(void **state)
{
    struct machine m;

    (void)state;
    begin(&m);
    decode_own(&m.d, "\033[11^", TOP_KEY_F9);
    decode_own(&m.d, "\001x", TOP_KEY_F10);
    decode_own(&m.d, "z", TOP_KEY_UP); /* one byte: a key of its own */
    type(&m, "\033[11^z\001x");
    assert_keys(&m, (const int[]){ TOP_KEY_F9, 'z', TOP_KEY_F10, NOBODY });
}

/* Whatever comes: no more keys than bytes, nothing stuck for longer than a paste may be silent. */
static void any_bytes_end_in_keys_or_nothing(void **state)
{
    static const char often[] = "\033[O<;0123456789~MmABCZ \r\xc3\xa9\xf0\x9f";
    struct machine m;
    unsigned seed = 11;

    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    begin(&m);
    for (int i = 0; i < 200000; i++) {
        int chance = rand();
        struct top_key key;

        m.now += chance % 5 == 0 ? 0.6 : 0;
        decode_byte(&m.d,
                    (unsigned char)(chance % 3 == 0 ? chance >> 8 : often[(size_t)(chance >> 8) % (sizeof(often) - 1)]),
                    m.now);
        while (decode_next(&m.d, &key, m.now))
            assert_true(key.code >= 0 && key.code < TOP_KEY_LAST);
    }
    wait_for(&m, DECODE_PASTE_S + 1);
    wait_for(&m, DECODE_PASTE_S + 1);
    assert_true(decode_wait(&m.d, m.now) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_are_keys_however_slowly_they_come),
        cmocka_unit_test(a_click_has_its_place),
        cmocka_unit_test(a_report_on_a_mode_is_no_key),
        cmocka_unit_test(esc_alone_is_esc_after_its_time),
        cmocka_unit_test(esc_before_another_key_is_esc_at_once),
        cmocka_unit_test(a_sequence_that_breaks_off_gives_no_letters),
        cmocka_unit_test(a_paste_is_text_to_its_end),
        cmocka_unit_test(a_paste_without_end_is_over_after_a_silence),
        cmocka_unit_test(a_terminals_own_sequences_come_first),
        cmocka_unit_test(any_bytes_end_in_keys_or_nothing),
    };

    return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
