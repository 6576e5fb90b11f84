/* SPDX-License-Identifier: MIT */
/* trace-file.h - `--trace FILE`: what a machine's start took, for chrome://tracing and the like. */
#ifndef CAPSA_CLI_TRACE_FILE_H
#define CAPSA_CLI_TRACE_FILE_H

#include "core/base/error.h"
#include "core/base/timeline.h"

/* Writes what the machine and (unless NULL) this process saw. 0 or -errno with err. */
int trace_file_write(const char *path, const struct timeline *machine, const struct timeline *own, struct error *err);

#endif
