/* Text of tables as mdoc(7) text, for the programs that print manual pages. */
#ifndef SRQ_MAN_MDOC_H
#define SRQ_MAN_MDOC_H

/* To standard output: no line begins with a request, a backslash is written out, and every sentence begins a line. */
void mdoc_text(const char *t);
/* The same, ended by a full stop where it has none, and by a newline. */
void mdoc_sentence(const char *t);

#endif
