/* What a piece of the screen means. Panels draw roles; a theme (theme.h) says how a terminal shows each. */
#ifndef SRQ_TUI_SRQTOP_ROLE_H
#define SRQ_TUI_SRQTOP_ROLE_H

/* X(ROLE, letter in a dump of roles): letters are distinct. */
#define ROLE_LIST(X)                                                        \
    X(TEXT, '.')      /* plain words and numbers */                         \
    X(FAINT, ',')     /* what matters less; a dash for what is not known */ \
    X(HEAD, 'h')      /* titles of columns and panels */                    \
    X(TAB, 't')       /* name of a panel that is not shown */               \
    X(TAB_ON, 'T')    /* name of the panel shown */                         \
    X(BAR_KEY, 'k')   /* a key in the bottom bar */                         \
    X(BAR, 'b')       /* what it does */                                    \
    X(SELECTED, 's')  /* row or cell of the cursor */                       \
    X(TAGGED, 'g')    /* tagged by the user */                              \
    X(PINNED, 'p')    /* scheme fixed by a user */                          \
    X(EDITED, 'e')    /* proposed, not yet sent */                          \
    X(WAITING, 'w')   /* queued, paused, pending */                         \
    X(RUNNING, 'r')   /* starting, running, being tuned */                  \
    X(GOOD, 'd')      /* done, finished, an improvement */                  \
    X(STALE, 'a')     /* to be tuned again */                               \
    X(BAD, 'f')       /* failed, refused, worse */                          \
    X(LOSS_GOOD, 'l') /* a loss that fell */                                \
    X(LOSS_BAD, 'L')  /* a loss that rose */                                \
    X(DONE_PART, 'P') /* the done part of a progress bar */                 \
    X(REST_PART, 'q') /* the rest of it */                                  \
    X(AXIS, 'x')                                                            \
    X(CURVE_0, 'A')                                                         \
    X(CURVE_1, 'B')                                                         \
    X(CURVE_2, 'C')                                                         \
    X(CURVE_3, 'D')                                                         \
    X(CURVE_4, 'E')                                                         \
    X(CURVE_5, 'F')                                                         \
    X(SPARK, 'S')                                                           \
    X(HEAT_0, '0') /* lowest tenth of a scale … */                        \
    X(HEAT_1, '1')                                                          \
    X(HEAT_2, '2')                                                          \
    X(HEAT_3, '3')                                                          \
    X(HEAT_4, '4')                                                          \
    X(HEAT_5, '5')                                                          \
    X(HEAT_6, '6')                                                          \
    X(HEAT_7, '7')                                                          \
    X(HEAT_8, '8')                                                          \
    X(HEAT_9, '9')  /* … highest */                                       \
    X(PICTURE, 'I') /* pixels, whose colours are their own */               \
    X(LOG_ERROR, '!')                                                       \
    X(LOG_WARNING, '?')                                                     \
    X(LOG_INFO, 'i')                                                        \
    X(LOG_DEBUG, 'u')                                                       \
    X(MATCH, 'm')      /* what a search found */                            \
    X(PROMPT, 'y')     /* the line being typed */                           \
    X(NOTICE, 'n')     /* the last success */                               \
    X(NOTICE_BAD, 'N') /* the last refusal */

enum role {
#define ROLE_ENUM(name, letter) ROLE_##name,
    ROLE_LIST(ROLE_ENUM)
#undef ROLE_ENUM
        ROLE_COUNT
};

#define CURVE_ROLES 6
#define HEAT_ROLES 10

#endif
