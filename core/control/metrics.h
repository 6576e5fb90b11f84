/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - counters as text for Prometheus (exposition format 0.0.4). One thread.
 *
 * Samples come in any order; those of one name are printed together, below one HELP and one TYPE, as the format
 * demands.
 */
#ifndef CAPSA_CONTROL_METRICS_H
#define CAPSA_CONTROL_METRICS_H

#include <stddef.h>
#include <stdint.h>

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics;

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE };

/* NULL: no memory. */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics); /* NULL is fine */

/*
 * A sample. `name`: [a-z_][a-z0-9_]*. Strings are copied. label: NULL, or the name of a label with the value
 * `label_value`, of any characters. What finds no memory is missing, and metrics_text() says so by NULL.
 */
void metrics_add(struct metrics *metrics, enum metrics_kind kind, const char *name, const char *help, const char *label,
                 const char *label_value, double value);
/* The same for a number that counts things: no digit is lost. */
void metrics_add_count(struct metrics *metrics, const char *name, const char *help, const char *label,
                       const char *label_value, uint64_t value);

/* All of them; the caller frees. NULL: no memory. */
char *metrics_text(struct metrics *metrics, size_t *len);

#endif
