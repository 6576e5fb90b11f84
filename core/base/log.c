/* SPDX-License-Identifier: MIT */
/* log.c - see log.h. Owns the log level, the only global state of the process. */
#include "core/base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_int level_limit = LOG_LEVEL_WARNING;
static atomic_bool raw_terminal;

static const char *const level_words[] = {
	[LOG_LEVEL_ERROR] = "error: ",
	[LOG_LEVEL_WARNING] = "warning: ",
	[LOG_LEVEL_INFO] = "",
	[LOG_LEVEL_DEBUG] = "debug: ",
};

void log_set_level(enum log_level level)
{
	atomic_store(&level_limit, (int)level);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&level_limit, memory_order_relaxed);
}

void log_set_raw_terminal(bool raw)
{
	atomic_store(&raw_terminal, raw);
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
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_vline(level, fmt, args);
	va_end(args);
}
