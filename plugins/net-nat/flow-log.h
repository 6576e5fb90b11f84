/* SPDX-License-Identifier: MIT */
/*
 * flow-log.h - the lines that `log` rules ask for. They go where capsa writes its messages, whatever --quiet says, as
 * somebody asked for them; and the last FLOW_LOG_KEPT stay here for `capsa info`, as a machine that was started and
 * left alone has nobody who reads its messages.
 *
 * A guest decides how many flows there are: not more than FLOW_LOG_A_SECOND lines are written, after a burst; how many
 * were left out the next line says. Home loop; flow_log_each() in info().
 */
#ifndef CAPSA_NAT_FLOW_LOG_H
#define CAPSA_NAT_FLOW_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "plugins/net-nat/nat.h"

#define FLOW_LOG_A_SECOND 20u
#define FLOW_LOG_BURST 200u
#define FLOW_LOG_KEPT 64u
#define FLOW_LOG_LINE 512u /* bytes of one, with its NUL */

/* Zeroed but for `left`: FLOW_LOG_BURST. */
struct flow_log {
	unsigned left; /* lines that may be written now */
	uint64_t at;   /* when they were counted, as timeouts_now() */
	uint64_t left_out;
	char *lines[FLOW_LOG_KEPT];
	time_t times[FLOW_LOG_KEPT];
	uint64_t n; /* written so far: the next one's place, modulo FLOW_LOG_KEPT */
};

/* Whether a line may be written now; false counts one that was left out. */
bool flow_log_may_write(struct flow_log *log, uint64_t now);
/* One for which that was true. */
__attribute__((format(printf, 3, 4))) void flow_log_write(struct flow_log *log, const struct nat *nat, const char *fmt,
                                                          ...);
/* The newest first. */
void flow_log_each(const struct flow_log *log, void (*each)(void *ctx, time_t when, const char *line), void *ctx);
void flow_log_end(struct flow_log *log);

#endif
