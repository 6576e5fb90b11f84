/* SPDX-License-Identifier: MIT */
/* log.c - see log.h. Owns the log level, the only global state of the process. */
#include "core/base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_int level_limit = LOG_LEVEL_WARNING;
static atomic_bool raw_terminal;
static atomic_bool stuck; /* who reads standard error stood still when a line was last to be written */

/* How long a line waits for its reader, in milliseconds, and how many signals may begin that anew. */
enum { READER_WAIT = 100, SIGNALS_MAX = 4 };

static const char *const level_words[] = {
	[LOG_LEVEL_ERROR] = "error: ",
	[LOG_LEVEL_WARNING] = "warning: ",
	[LOG_LEVEL_INFO] = "",
	[LOG_LEVEL_DEBUG] = "debug: ",
	[LOG_LEVEL_ASKED] = "",
};

void log_set_level(enum log_level level)
{
	atomic_store(&level_limit, (int)level);
}

bool log_enabled(enum log_level level)
{
	return level == LOG_LEVEL_ASKED || (int)level <= atomic_load_explicit(&level_limit, memory_order_relaxed);
}

void log_set_raw_terminal(bool raw)
{
	atomic_store(&raw_terminal, raw);
}

/*
 * Whether a line can be written without waiting for ever: a pager that nobody scrolls, a pipe that nobody empties or a
 * terminal that is held must not keep the main loop from ending a machine. Who reads slowly is waited for, who stands
 * still is not waited for again until there is room.
 */
static bool has_room(void)
{
	struct pollfd waits = { .fd = STDERR_FILENO, .events = POLLOUT };
	int n, tries = SIGNALS_MAX;

	do
		n = poll(&waits, 1, atomic_load(&stuck) ? 0 : READER_WAIT);
	while (n < 0 && errno == EINTR && --tries);
	atomic_store(&stuck, n != 1);
	return n == 1;
}

void log_vline(enum log_level level, const char *fmt, va_list args)
{
	char line[1200];
	size_t used;

	if (!log_enabled(level))
		return;
	snprintf(line, sizeof line, "capsa: %s", level_words[level]);
	used = strlen(line);
	vsnprintf(line + used, sizeof line - used - 2, fmt, args);
	strcat(line, atomic_load(&raw_terminal) ? "\r\n" : "\n");
	/* Nobody is left to tell when standard error fails. */
	if (!has_room() || write(STDERR_FILENO, line, strlen(line)) < 0)
		return;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_vline(level, fmt, args);
	va_end(args);
}
