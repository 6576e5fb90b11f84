/* SPDX-License-Identifier: MIT */
/* log.c - see log.h. A line leaves in one write, so that lines of init and agent do not mix. */
#include "agent/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void agent_log(const char *format, ...)
{
	char line[512] = "capsa-agent: ";
	const size_t prefix = sizeof "capsa-agent: " - 1;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line + prefix, sizeof line - prefix - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n > sizeof line - prefix - 2)
		n = (int)(sizeof line - prefix - 2);
	line[prefix + (size_t)n] = '\n';
	/* A console that takes nothing must not stop the machine. */
	if (write(STDERR_FILENO, line, prefix + (size_t)n + 1) < 0)
		return;
}
