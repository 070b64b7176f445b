/* Where srqd's socket, state, configuration and worker program are (design 10, "Locations"). */
#ifndef SRQD_PLACES_H
#define SRQD_PLACES_H

#include <srq/error.h>

#include <stdbool.h>

struct places {
    bool system; /* the machine's service, not one user's daemon */
    char *socket;
    char *state;   /* folder of the store */
    char *jobs;    /* folder of the job directories, in it */
    char *runtime; /* folder in which workers make their control sockets; a folder for each user in it where system */
    char *config;  /* where it is read from; see places_config */
    bool config_asked;
    char *worker;
    char host[256];
};

struct place_wishes {
    bool system;
    const char *socket, *state_dir, *config; /* NULL: by rule */
};

/* Decides and creates the folders. Those that are there must be ours, and nobody else may be able to write in them:
 * -SRQ_EPERM with the command that mends it. */
int places_find(struct places *p, const struct place_wishes *w, struct srq_error *err);
/* Decides only: nothing is made, and all that would stop a start is told, one thing at a time. 0: the places are
 * decided, right or wrong. */
typedef void (*places_wrong)(void *ctx, const struct srq_error *why);
int places_look(struct places *p, const struct place_wishes *w, places_wrong wrong, void *ctx, struct srq_error *err);
/* Makes the socket's and the workers' runtime folder again where they are gone. */
int places_renew(struct places *p, struct srq_error *err);
/* /tmp/srq-UID/srqd.sock, its folder made and ours; srq_free. NULL: it cannot be had. */
char *places_second_socket(void);
/* The configuration's file: one that was asked for, or the usual one where it is there now. NULL: there is none. */
const char *places_config(const struct places *p);
void places_free(struct places *p);

#endif
