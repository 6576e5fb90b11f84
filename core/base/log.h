/* SPDX-License-Identifier: MIT */
/*
 * log.h - lines on standard error, for people: "capsa: warning: ...".
 *
 * The log is the one piece of global state in capsa. Any thread may log; a line
 * is one write(2) and so never torn; it is dropped where nobody reads standard error, so that nobody ever waits
 * for that. What a guest can cause, the caller logs once a
 * reason, so that no guest can fill a disk.
 */
#ifndef CAPSA_BASE_LOG_H
#define CAPSA_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>

/*
 * The same numbers as enum capsa_log_level of the plugin interface. LOG_LEVEL_ASKED is no level of importance: the user
 * has asked for that very line, so it is never dropped, and has no word in front.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_ASKED };

/* Lines above `level` are dropped, but for those of LOG_LEVEL_ASKED. Default: LOG_LEVEL_WARNING. Before threads start. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/*
 * While a terminal is in raw mode a bare \n does not return the carriage: the
 * console asks for "\r\n" here. Any thread.
 */
void log_set_raw_terminal(bool raw);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);
__attribute__((format(printf, 2, 0))) void log_vline(enum log_level level, const char *fmt, va_list args);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
