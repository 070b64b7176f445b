/* The user's cache folder: what can be made again. */
#ifndef SRQ_BASE_CACHE_DIR_H
#define SRQ_BASE_CACHE_DIR_H

#include <stdint.h>

/* $SRQ_CACHE_DIR, else $XDG_CACHE_HOME/srq/KIND, else ~/.cache/srq/KIND; freed with srq_free. NULL: none is to be used
 * (SRQ_CACHE_DIR empty, no home), or memory is out. */
char *srq_cache_dir(const char *kind);

/* What nobody used for as long goes. */
#define SRQ_CACHE_UNUSED_S (30.0 * 86400)
/* And of files the ones longest unused, until the rest takes no more than this. */
#define SRQ_CACHE_BYTES_MAX ((int64_t)1 << 30)

/* Notes that it was used today. */
void srq_cache_used(const char *path);
/* Takes away files of `dir`, as above: those that are named by a hash (and what a killed process left of such a file),
 * nothing else. Best effort: what cannot be removed stays. */
void srq_cache_tidy(const char *dir);

#endif
