/* The user's cache folder: what can be made again. */
#ifndef SRQ_BASE_CACHE_DIR_H
#define SRQ_BASE_CACHE_DIR_H

/* $SRQ_CACHE_DIR, else $XDG_CACHE_HOME/srq/KIND, else ~/.cache/srq/KIND; freed with srq_free. NULL: none is to be used
 * (SRQ_CACHE_DIR empty, no home), or memory is out. */
char *srq_cache_dir(const char *kind);

#endif
