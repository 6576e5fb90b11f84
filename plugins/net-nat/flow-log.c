/* SPDX-License-Identifier: MIT */
/* flow-log.c - see flow-log.h. */
#include "plugins/net-nat/flow-log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool flow_log_may_write(struct flow_log *log, uint64_t now)
{
	const uint64_t due = (now - log->at) * FLOW_LOG_A_SECOND / 1000;

	if (due) {
		log->left = due >= FLOW_LOG_BURST - log->left ? FLOW_LOG_BURST : log->left + (unsigned)due;
		log->at = now;
	}
	if (!log->left) {
		log->left_out++;
		return false;
	}
	log->left--;
	return true;
}

/* Without memory it is not kept; that it was written is what counts. */
static void keep(struct flow_log *log, const char *line)
{
	const unsigned at = (unsigned)(log->n % FLOW_LOG_KEPT);
	char *copy = strdup(line);

	if (!copy)
		return;
	free(log->lines[at]);
	log->lines[at] = copy;
	log->times[at] = time(NULL);
	log->n++;
}

void flow_log_write(struct flow_log *log, const struct nat *nat, const char *fmt, ...)
{
	char line[FLOW_LOG_LINE];
	size_t used;
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	used = strlen(line);
	if (log->left_out)
		snprintf(line + used, sizeof line - used, "; %" PRIu64 " lines were left out", log->left_out);
	log->left_out = 0;
	nat->host->log(nat->dev, CAPSA_LOG_ASKED, "%s", line);
	keep(log, line);
}

void flow_log_each(const struct flow_log *log, void (*each)(void *ctx, time_t when, const char *line), void *ctx)
{
	const uint64_t kept = log->n < FLOW_LOG_KEPT ? log->n : FLOW_LOG_KEPT;

	for (uint64_t i = 1; i <= kept; i++)
		each(ctx, log->times[(log->n - i) % FLOW_LOG_KEPT], log->lines[(log->n - i) % FLOW_LOG_KEPT]);
}

void flow_log_end(struct flow_log *log)
{
	for (unsigned i = 0; i < FLOW_LOG_KEPT; i++)
		free(log->lines[i]);
}
