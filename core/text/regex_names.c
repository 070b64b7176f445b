/* What Oniguruma's names stand for, as contents of a PCRE2 class. PCRE2's own \s, \w and POSIX names hold other sets:
 * its \s has U+180E, its \w no marks, its [:punct:] fewer symbols, its \p{Han} the script's extensions. */
#include "core/text/regex_parts.h"

#include <stdio.h>
#include <string.h>

#define SPACE "\\t-\\r\\x{20}\\x{85}\\p{Z}"
/* Alphabetic symbols: letters in circles and squares. */
#define LETTER_SYMBOLS "\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
#define WORD "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}" LETTER_SYMBOLS
/* Below U+100 Oniguruma has a table of its own for \w and \p{Word} outside of a class, which holds these too. */
#define LATIN1_NUMBERS "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define HEX "0-9A-Fa-f"
/* With what became alphabetic, or lower case, only in later versions of Unicode than PCRE2's may be of. */
#define ALPHABETIC "\\p{Alphabetic}\\x{363}-\\x{36f}\\x{c04}\\x{f82}\\x{f83}\\x{1dd3}-\\x{1de6}\\x{11080}\\x{11081}"
#define LOWERCASE "\\p{Lowercase}\\x{10fc}\\x{a7f2}-\\x{a7f4}\\x{ab69}"
#define GRAPH "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Co}"

const char *srq_regex_type(char letter, bool in_class)
{
    switch (letter) {
    case 's':
    case 'S':
        return SPACE;
    case 'w':
    case 'W':
        return in_class ? WORD : WORD LATIN1_NUMBERS;
    case 'd':
    case 'D':
        return "\\p{Nd}";
    case 'h':
    case 'H':
        return HEX;
    default:
        return NULL;
    }
}

struct name {
    const char *name, *set;
};

static const char *find(const struct name *names, size_t count, const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i].name) == len && memcmp(names[i].name, name, len) == 0)
            return names[i].set;
    }
    return NULL;
}

static const struct name posix[] = {
    { "alnum", ALPHABETIC "\\p{Nd}" },
    { "alpha", ALPHABETIC },
    { "ascii", "\\x{0}-\\x{7f}" },
    { "blank", "\\t\\p{Zs}" },
    { "cntrl", "\\p{Cc}" },
    { "digit", "\\p{Nd}" },
    { "graph", GRAPH },
    { "lower", LOWERCASE },
    { "print", GRAPH "\\p{Zs}" },
    { "punct", "\\p{P}\\p{S}" },
    { "space", SPACE },
    { "upper", "\\p{Uppercase}" },
    { "word", WORD },
    { "xdigit", HEX },
};

const char *srq_regex_posix(const char *name, size_t len)
{
    return find(posix, sizeof(posix) / sizeof(posix[0]), name, len);
}

/* Names in lower case, without blanks, hyphens and underscores, all of which Oniguruma overlooks. */
static const struct name properties[] = {
    { "alnum", ALPHABETIC "\\p{Nd}" },
    { "alpha", ALPHABETIC },
    { "alphabetic", ALPHABETIC },
    { "any", "\\x{0}-\\x{10ffff}" },
    { "ascii", "\\x{0}-\\x{7f}" },
    { "blank", "\\t\\p{Zs}" },
    { "c", "\\p{C}" },
    { "casedletter", "\\p{Ll}\\p{Lt}\\p{Lu}" },
    { "cc", "\\p{Cc}" },
    { "cf", "\\p{Cf}" },
    { "closepunctuation", "\\p{Pe}" },
    { "cn", "\\p{Cn}" },
    { "cntrl", "\\p{Cc}" },
    { "co", "\\p{Co}" },
    { "connectorpunctuation", "\\p{Pc}" },
    { "control", "\\p{Cc}" },
    { "currencysymbol", "\\p{Sc}" },
    { "dashpunctuation", "\\p{Pd}" },
    { "decimalnumber", "\\p{Nd}" },
    { "digit", "\\p{Nd}" },
    { "enclosingmark", "\\p{Me}" },
    { "finalpunctuation", "\\p{Pf}" },
    { "format", "\\p{Cf}" },
    { "graph", GRAPH },
    { "initialpunctuation", "\\p{Pi}" },
    { "l", "\\p{L}" },
    { "lc", "\\p{Ll}\\p{Lt}\\p{Lu}" },
    { "letter", "\\p{L}" },
    { "letternumber", "\\p{Nl}" },
    { "lineseparator", "\\p{Zl}" },
    { "ll", "\\p{Ll}" },
    { "lm", "\\p{Lm}" },
    { "lo", "\\p{Lo}" },
    { "lower", LOWERCASE },
    { "lowercase", LOWERCASE },
    { "lowercaseletter", "\\p{Ll}" },
    { "lt", "\\p{Lt}" },
    { "lu", "\\p{Lu}" },
    { "m", "\\p{M}" },
    { "mark", "\\p{M}" },
    { "mathsymbol", "\\p{Sm}" },
    { "mc", "\\p{Mc}" },
    { "me", "\\p{Me}" },
    { "mn", "\\p{Mn}" },
    { "modifierletter", "\\p{Lm}" },
    { "modifiersymbol", "\\p{Sk}" },
    { "n", "\\p{N}" },
    { "nd", "\\p{Nd}" },
    { "nl", "\\p{Nl}" },
    { "no", "\\p{No}" },
    { "nonspacingmark", "\\p{Mn}" },
    { "number", "\\p{N}" },
    { "openpunctuation", "\\p{Ps}" },
    { "other", "\\p{C}" },
    { "otherletter", "\\p{Lo}" },
    { "othernumber", "\\p{No}" },
    { "otherpunctuation", "\\p{Po}" },
    { "othersymbol", "\\p{So}" },
    { "p", "\\p{P}" },
    { "paragraphseparator", "\\p{Zp}" },
    { "pc", "\\p{Pc}" },
    { "pd", "\\p{Pd}" },
    { "pe", "\\p{Pe}" },
    { "pf", "\\p{Pf}" },
    { "pi", "\\p{Pi}" },
    { "po", "\\p{Po}" },
    { "print", GRAPH "\\p{Zs}" },
    { "privateuse", "\\p{Co}" },
    { "ps", "\\p{Ps}" },
    { "punct", "\\p{P}" }, /* unlike [[:punct:]] */
    { "punctuation", "\\p{P}" },
    { "s", "\\p{S}" },
    { "sc", "\\p{Sc}" },
    { "separator", "\\p{Z}" },
    { "sk", "\\p{Sk}" },
    { "sm", "\\p{Sm}" },
    { "so", "\\p{So}" },
    { "space", SPACE },
    { "spaceseparator", "\\p{Zs}" },
    { "spacingmark", "\\p{Mc}" },
    { "symbol", "\\p{S}" },
    { "titlecaseletter", "\\p{Lt}" },
    { "unassigned", "\\p{Cn}" },
    { "upper", "\\p{Uppercase}" },
    { "uppercase", "\\p{Uppercase}" },
    { "uppercaseletter", "\\p{Lu}" },
    { "whitespace", SPACE },
    { "word", WORD },
    { "xdigit", HEX },
    { "z", "\\p{Z}" },
    { "zl", "\\p{Zl}" },
    { "zp", "\\p{Zp}" },
    { "zs", "\\p{Zs}" },
};

bool srq_regex_property(struct srq_translation *t, bool in_class, char *set, size_t cap, bool *negated)
{
    char name[40];
    size_t len = 0;
    const char *known;

    t->p++;
    *negated = t->p < t->end && *t->p == '^';
    t->p += *negated;
    for (; t->p < t->end && *t->p != '}'; t->p++) {
        char c = *t->p;

        if (c == ' ' || c == '-' || c == '_')
            continue;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c < 'a' || c > 'z' || len + 1 == sizeof(name))
            return false;
        name[len++] = c;
    }
    if (t->p == t->end || len == 0)
        return false;
    t->p++;
    name[len] = '\0';
    known = find(properties, sizeof(properties) / sizeof(properties[0]), name, len);
    if (known != NULL && strcmp(name, "word") == 0)
        snprintf(set, cap, "%s", srq_regex_type('w', in_class));
    else if (known != NULL)
        snprintf(set, cap, "%s", known);
    else /* a script; PCRE2 refuses what is none */
        snprintf(set, cap, "\\p{sc:%s}", name);
    return true;
}
