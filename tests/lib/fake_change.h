/* Changes of the plan as the stand-in worker makes them: pins by glob, no ties, no solver. */
#ifndef TESTS_FAKE_CHANGE_H
#define TESTS_FAKE_CHANGE_H

#include <srq/error.h>

#include <cjson/cJSON.h>

/* Changes plan.json in the working directory as worker.change asks. *event: data of plan.changed for the journal, NULL
 * where nothing changed. Both are the caller's. */
int fake_change(const char *job, const cJSON *params, cJSON **reply, cJSON **event, struct srq_error *err);

#endif
