/* SPDX-License-Identifier: MIT */
/* metrics.c - see metrics.h. Called by api.c, for GET /metrics. */
#include "core/control/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"

struct sample {
	enum metrics_kind kind;
	const char *name, *help, *label, *label_value;
	const char *value;
	size_t order; /* in which it came */
};

struct metrics {
	struct arena *arena;
	struct sample *samples;
	size_t n, room;
	bool failed;
};

struct metrics *metrics_new(void)
{
	struct metrics *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	m->arena = arena_new();
	if (m->arena)
		return m;
	free(m);
	return NULL;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	arena_free(m->arena);
	free(m->samples);
	free(m);
}

static void add(struct metrics *m, enum metrics_kind kind, const char *name, const char *help, const char *label,
                const char *label_value, const char *value)
{
	struct sample *s;

	if (m->n == m->room) {
		size_t room = m->room ? 2 * m->room : 64;
		struct sample *grown = reallocarray(m->samples, room, sizeof *grown);

		if (!grown) {
			m->failed = true;
			return;
		}
		m->samples = grown;
		m->room = room;
	}
	s = &m->samples[m->n];
	*s = (struct sample){
		.kind = kind,
		.name = arena_strdup(m->arena, name),
		.help = arena_strdup(m->arena, help),
		.label = label ? arena_strdup(m->arena, label) : "",
		.label_value = label ? arena_strdup(m->arena, label_value) : "",
		.value = value,
		.order = m->n,
	};
	if (s->name && s->help && s->label && s->label_value && s->value)
		m->n++;
	else
		m->failed = true;
}

void metrics_add(struct metrics *m, enum metrics_kind kind, const char *name, const char *help, const char *label,
                 const char *label_value, double value)
{
	add(m, kind, name, help, label, label_value, arena_format(m->arena, "%.9g", value));
}

void metrics_add_count(struct metrics *m, const char *name, const char *help, const char *label,
                       const char *label_value, uint64_t value)
{
	add(m, METRICS_COUNTER, name, help, label, label_value, arena_format(m->arena, "%" PRIu64, value));
}

static int compare(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;
	int by_name = strcmp(x->name, y->name);

	return by_name ? by_name : x->order < y->order ? -1 : x->order > y->order;
}

/* Backslash and line feed are escaped everywhere, quotes in the values of labels. */
static void print_escaped(FILE *f, const char *text, bool quoted)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", f);
		else if (*text == '\\' || (quoted && *text == '"'))
			fprintf(f, "\\%c", *text);
		else
			fputc(*text, f);
	}
}

static void print(FILE *f, const struct sample *s, bool first)
{
	if (first) {
		fprintf(f, "# HELP %s ", s->name);
		print_escaped(f, s->help, false);
		fprintf(f, "\n# TYPE %s %s\n", s->name, s->kind == METRICS_GAUGE ? "gauge" : "counter");
	}
	fputs(s->name, f);
	if (s->label[0]) {
		fprintf(f, "{%s=\"", s->label);
		print_escaped(f, s->label_value, true);
		fputs("\"}", f);
	}
	fprintf(f, " %s\n", s->value);
}

char *metrics_text(struct metrics *m, size_t *len)
{
	char *text = NULL;
	FILE *f;

	if (m->failed)
		return NULL;
	f = open_memstream(&text, len);
	if (!f)
		return NULL;
	if (m->n)
		qsort(m->samples, m->n, sizeof *m->samples, compare);
	for (size_t i = 0; i < m->n; i++)
		print(f, &m->samples[i], i == 0 || strcmp(m->samples[i - 1].name, m->samples[i].name) != 0);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}
