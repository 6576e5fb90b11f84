/* SPDX-License-Identifier: MIT */
/* trace.h - a timeline as Chrome trace JSON, for chrome://tracing, Perfetto and the like. A pure function. */
#ifndef CAPSA_CONTROL_TRACE_H
#define CAPSA_CONTROL_TRACE_H

#include "core/base/timeline.h"

/*
 * {"traceEvents": [...]}: one complete event ("X") a mark, from the mark before to it, in microseconds since the first
 * one; the first has no duration. events: as from timeline_read(). The caller frees. NULL: no memory.
 */
char *trace_json(const struct timeline_event *events, size_t n, long pid);

#endif
