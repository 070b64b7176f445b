/* Tables of the themes.
 *
 * Heat in 256 colours follows cividis (Nuñez, Anderton, Renslow 2018) and viridis, each colour the nearest of the
 * terminal's palette such that lightness rises from step to step. Good and bad are blue and orange, and curves take
 * hues that protanopes, deuteranopes and tritanopes tell apart (Okabe and Ito). */
#include "tui/srqtop/theme.h"

#include "tui/srqtop/canvas.h"

#include <string.h>

#define N THEME_NONE
#define B ATTR_BOLD
#define U ATTR_UNDERLINE
#define R ATTR_REVERSE

/* Attributes where there are no colours. */
static const uint8_t mono[ROLE_COUNT] = {
    [ROLE_HEAD] = B | U,  [ROLE_TAB_ON] = R | B,  [ROLE_BAR_KEY] = R, [ROLE_SELECTED] = R, [ROLE_TAGGED] = B,
    [ROLE_PINNED] = U,    [ROLE_EDITED] = B | U,  [ROLE_RUNNING] = B, [ROLE_BAD] = B,      [ROLE_LOSS_BAD] = B,
    [ROLE_LOG_ERROR] = B, [ROLE_LOG_WARNING] = U, [ROLE_MATCH] = U,   [ROLE_PROMPT] = B,   [ROLE_NOTICE_BAD] = B | R,
    [ROLE_DONE_PART] = B, [ROLE_CURVE_0] = B,     [ROLE_HEAT_8] = B,  [ROLE_HEAT_9] = B,
};

/* Roles that are alike on dark backgrounds. */
#define DARK_DEEP                                                                                       \
    [ROLE_TEXT] = { N, N, 0 }, [ROLE_FAINT] = { 246, N, 0 }, [ROLE_HEAD] = { 252, N, B | U },           \
    [ROLE_TAB] = { 250, 236, 0 }, [ROLE_TAB_ON] = { 16, 117, B }, [ROLE_BAR_KEY] = { 16, 250, 0 },      \
    [ROLE_BAR] = { 250, 236, 0 }, [ROLE_SELECTED] = { 255, 24, B }, [ROLE_TAGGED] = { 227, N, B },      \
    [ROLE_PINNED] = { 175, N, U }, [ROLE_EDITED] = { 227, N, B | U }, [ROLE_WAITING] = { 246, N, 0 },   \
    [ROLE_RUNNING] = { 117, N, B }, [ROLE_GOOD] = { 74, N, 0 }, [ROLE_STALE] = { 175, N, 0 },           \
    [ROLE_BAD] = { 208, N, B }, [ROLE_LOSS_GOOD] = { 117, N, 0 }, [ROLE_LOSS_BAD] = { 208, N, 0 },      \
    [ROLE_DONE_PART] = { 117, N, 0 }, [ROLE_REST_PART] = { 240, N, 0 }, [ROLE_AXIS] = { 243, N, 0 },    \
    [ROLE_CURVE_0] = { 117, N, 0 }, [ROLE_CURVE_1] = { 214, N, 0 }, [ROLE_CURVE_2] = { 36, N, 0 },      \
    [ROLE_CURVE_3] = { 227, N, 0 }, [ROLE_CURVE_4] = { 202, N, 0 }, [ROLE_CURVE_5] = { 175, N, 0 },     \
    [ROLE_SPARK] = { 110, N, 0 }, [ROLE_LOG_ERROR] = { 208, N, B }, [ROLE_LOG_WARNING] = { 227, N, 0 }, \
    [ROLE_LOG_INFO] = { N, N, 0 }, [ROLE_LOG_DEBUG] = { 244, N, 0 }, [ROLE_MATCH] = { 16, 227, 0 },     \
    [ROLE_PROMPT] = { 255, 237, 0 }, [ROLE_PICTURE] = { N, N, 0 }, [ROLE_NOTICE] = { 117, N, 0 },       \
    [ROLE_NOTICE_BAD] = { 16, 208, B }

#define LIGHT_DEEP                                                                                    \
    [ROLE_TEXT] = { N, N, 0 }, [ROLE_FAINT] = { 242, N, 0 }, [ROLE_HEAD] = { 235, N, B | U },         \
    [ROLE_TAB] = { 238, 253, 0 }, [ROLE_TAB_ON] = { 231, 25, B }, [ROLE_BAR_KEY] = { 231, 240, 0 },   \
    [ROLE_BAR] = { 238, 253, 0 }, [ROLE_SELECTED] = { 16, 153, B }, [ROLE_TAGGED] = { 94, N, B },     \
    [ROLE_PINNED] = { 90, N, U }, [ROLE_EDITED] = { 94, N, B | U }, [ROLE_WAITING] = { 242, N, 0 },   \
    [ROLE_RUNNING] = { 25, N, B }, [ROLE_GOOD] = { 25, N, 0 }, [ROLE_STALE] = { 90, N, 0 },           \
    [ROLE_BAD] = { 130, N, B }, [ROLE_LOSS_GOOD] = { 25, N, 0 }, [ROLE_LOSS_BAD] = { 130, N, 0 },     \
    [ROLE_DONE_PART] = { 25, N, 0 }, [ROLE_REST_PART] = { 250, N, 0 }, [ROLE_AXIS] = { 245, N, 0 },   \
    [ROLE_CURVE_0] = { 25, N, 0 }, [ROLE_CURVE_1] = { 166, N, 0 }, [ROLE_CURVE_2] = { 29, N, 0 },     \
    [ROLE_CURVE_3] = { 94, N, 0 }, [ROLE_CURVE_4] = { 124, N, 0 }, [ROLE_CURVE_5] = { 90, N, 0 },     \
    [ROLE_SPARK] = { 25, N, 0 }, [ROLE_LOG_ERROR] = { 124, N, B }, [ROLE_LOG_WARNING] = { 94, N, 0 }, \
    [ROLE_LOG_INFO] = { N, N, 0 }, [ROLE_LOG_DEBUG] = { 243, N, 0 }, [ROLE_MATCH] = { 16, 227, 0 },   \
    [ROLE_PROMPT] = { 16, 254, 0 }, [ROLE_PICTURE] = { N, N, 0 }, [ROLE_NOTICE] = { 25, N, 0 },       \
    [ROLE_NOTICE_BAD] = { 231, 130, B }

#define PLAIN                                                                                                        \
    [ROLE_TEXT] = { N, N, 0 }, [ROLE_FAINT] = { N, N, 0 }, [ROLE_HEAD] = { N, N, B | U }, [ROLE_TAB] = { N, N, 0 },  \
    [ROLE_TAB_ON] = { 0, 6, B }, [ROLE_BAR_KEY] = { 0, 7, 0 }, [ROLE_BAR] = { N, N, 0 },                             \
    [ROLE_SELECTED] = { 15, 4, B }, [ROLE_TAGGED] = { 3, N, B }, [ROLE_PINNED] = { 5, N, U },                        \
    [ROLE_EDITED] = { 3, N, B | U }, [ROLE_WAITING] = { N, N, 0 }, [ROLE_RUNNING] = { 6, N, B },                     \
    [ROLE_GOOD] = { 6, N, 0 }, [ROLE_STALE] = { 5, N, 0 }, [ROLE_BAD] = { 3, N, B }, [ROLE_LOSS_GOOD] = { 6, N, 0 }, \
    [ROLE_LOSS_BAD] = { 3, N, B }, [ROLE_DONE_PART] = { 6, N, 0 }, [ROLE_REST_PART] = { N, N, 0 },                   \
    [ROLE_AXIS] = { N, N, 0 }, [ROLE_CURVE_0] = { 6, N, 0 }, [ROLE_CURVE_1] = { 3, N, 0 },                           \
    [ROLE_CURVE_2] = { 5, N, 0 }, [ROLE_CURVE_3] = { 2, N, 0 }, [ROLE_CURVE_4] = { 4, N, 0 },                        \
    [ROLE_CURVE_5] = { 1, N, 0 }, [ROLE_SPARK] = { 6, N, 0 }, [ROLE_LOG_ERROR] = { 1, N, B },                        \
    [ROLE_LOG_WARNING] = { 3, N, 0 }, [ROLE_LOG_INFO] = { N, N, 0 }, [ROLE_LOG_DEBUG] = { N, N, 0 },                 \
    [ROLE_MATCH] = { 0, 3, 0 }, [ROLE_PROMPT] = { N, N, B }, [ROLE_PICTURE] = { N, N, 0 },                           \
    [ROLE_NOTICE] = { 6, N, 0 }, [ROLE_NOTICE_BAD] = { 0, 3, B }, [ROLE_HEAT_0] = { 15, 4, 0 },                      \
    [ROLE_HEAT_1] = { 15, 4, 0 }, [ROLE_HEAT_2] = { 15, 5, 0 }, [ROLE_HEAT_3] = { 15, 5, 0 },                        \
    [ROLE_HEAT_4] = { 0, 6, 0 }, [ROLE_HEAT_5] = { 0, 6, 0 }, [ROLE_HEAT_6] = { 0, 3, 0 },                           \
    [ROLE_HEAT_7] = { 0, 3, 0 }, [ROLE_HEAT_8] = { 0, 7, 0 }, [ROLE_HEAT_9] = { 0, 7, 0 }

#define CIVIDIS                                                                                       \
    [ROLE_HEAT_0] = { 255, 235, 0 }, [ROLE_HEAT_1] = { 255, 24, 0 }, [ROLE_HEAT_2] = { 255, 60, 0 },  \
    [ROLE_HEAT_3] = { 255, 242, 0 }, [ROLE_HEAT_4] = { 231, 243, 0 }, [ROLE_HEAT_5] = { 16, 244, 0 }, \
    [ROLE_HEAT_6] = { 16, 137, 0 }, [ROLE_HEAT_7] = { 16, 143, 0 }, [ROLE_HEAT_8] = { 16, 185, 0 },   \
    [ROLE_HEAT_9] = { 16, 227, 0 }

#define VIRIDIS                                                                                      \
    [ROLE_HEAT_0] = { 255, 17, 0 }, [ROLE_HEAT_1] = { 255, 53, 0 }, [ROLE_HEAT_2] = { 255, 24, 0 },  \
    [ROLE_HEAT_3] = { 255, 60, 0 }, [ROLE_HEAT_4] = { 255, 242, 0 }, [ROLE_HEAT_5] = { 231, 29, 0 }, \
    [ROLE_HEAT_6] = { 16, 35, 0 }, [ROLE_HEAT_7] = { 16, 41, 0 }, [ROLE_HEAT_8] = { 16, 148, 0 },    \
    [ROLE_HEAT_9] = { 16, 220, 0 }

const struct theme themes[] = {
    { "cividis", "dark background; heat from blue to yellow", { DARK_DEEP, CIVIDIS }, { PLAIN } },
    { "viridis", "dark background; heat from violet over green to yellow", { DARK_DEEP, VIRIDIS }, { PLAIN } },
    { "light", "light background; heat from blue to yellow", { LIGHT_DEEP, CIVIDIS }, { PLAIN } },
    { .name = NULL },
};

const struct theme *theme_find(const char *name)
{
    for (const struct theme *t = themes; t->name != NULL; t++)
        if (strcmp(t->name, name) == 0)
            return t;
    return NULL;
}

struct theme_look theme_look_of(const struct theme *t, enum role role, int colours)
{
    if (colours >= 256)
        return t->deep[role];
    if (colours >= 8) {
        struct theme_look look = t->plain[role];

        if (colours < 16 && look.fg >= 8) {
            look.fg = (int16_t)(look.fg - 8);
            look.attr |= ATTR_BOLD;
        }
        return look;
    }
    return (struct theme_look){ THEME_NONE, THEME_NONE, mono[role] };
}

uint32_t theme_rgb(int colour)
{
    static const uint32_t system[16] = {
        0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd, 0x00cdcd, 0xe5e5e5,
        0x7f7f7f, 0xff0000, 0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff
    };
    static const uint32_t levels[6] = { 0, 95, 135, 175, 215, 255 };
    uint32_t gray;

    if (colour < 16)
        return system[colour & 15];
    if (colour < 232)
        return levels[(colour - 16) / 36] << 16 | levels[(colour - 16) / 6 % 6] << 8 | levels[(colour - 16) % 6];
    gray = (uint32_t)(8 + 10 * (colour - 232));
    return gray << 16 | gray << 8 | gray;
}
