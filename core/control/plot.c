/* SPDX-License-Identifier: MIT */
/*
 * plot.c - see plot.h. Called by `capsa info --plot`.
 *
 * Its own background and colours, so that it reads the same on a light and on a dark page; no fonts but the
 * viewer's own, no scripts, nothing from elsewhere.
 */
#include "core/control/plot.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	NAMES = 220, /* width for the names, left of the bars */
	BARS = 640,
	TIMES = 110, /* and for what does not fit into a bar, right of them */
	ROW = 26,
	BAR = 16,
	HEAD = 44,
	FOOT = 40,
	TICKS = 8, /* at most */
};

/* XML's own characters by name; what XML 1.0 cannot have, and all that is no ASCII, as '?'. */
static void print_text(FILE *f, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '&':
			fputs("&amp;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		default:
			fputc(*text >= ' ' && *text < 0x7f ? *text : '?', f);
		}
	}
}

/* 1, 2 or 5 times a power of ten, so that at most TICKS of them cover `ms`. */
static double tick(double ms)
{
	static const double steps[] = { 1, 2, 5 };

	for (double unit = 0.001;; unit *= 10)
		for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
			if (ms / (unit * steps[i]) <= TICKS)
				return unit * steps[i];
}

static void print_axis(FILE *f, double ms, int height)
{
	double step = tick(ms);
	int bottom = height - FOOT;

	for (unsigned i = 0; i <= TICKS && i * step <= ms * 1.0001; i++) {
		double x = NAMES + BARS * (i * step / ms);

		fprintf(f, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#d8dee4\"/>\n", x, HEAD - 6, x,
		        bottom);
		fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#57606a\">%g</text>\n", x,
		        bottom + 16, i * step);
	}
	fprintf(f, "<text x=\"%d\" y=\"%d\" fill=\"#57606a\">ms</text>\n", NAMES + BARS + 24, bottom + 16);
}

static void print_bar(FILE *f, const struct timeline_event *events, size_t i, double ms)
{
	static const char *const colours[] = { "#0969da", "#1a7f37", "#9a6700", "#8250df", "#bf3989", "#cf222e" };
	double from = (double)(events[i - 1].ns - events[0].ns) / 1e6,
	       took = (double)(events[i].ns - events[i - 1].ns) / 1e6;
	double x = NAMES + BARS * (from / ms), width = BARS * (took / ms);
	int y = HEAD + (int)(i - 1) * ROW;

	fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"#1f2328\">", NAMES - 10, y + 13);
	print_text(f, events[i].name);
	/* What took no time is seen all the same. */
	fprintf(f, "</text>\n<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" rx=\"1.5\" fill=\"%s\"/>\n", x, y,
	        width < 1 ? 1 : width, BAR, colours[(i - 1) % (sizeof colours / sizeof colours[0])]);
	fprintf(f, "<text x=\"%.2f\" y=\"%d\" fill=\"#1f2328\">%.*f ms</text>\n", x + (width < 1 ? 1 : width) + 6,
	        y + 13, took < 10 ? 2 : 0, took);
}

char *plot_svg(const char *title, const struct timeline_event *events, size_t n)
{
	int rows = n > 1 ? (int)n - 1 : 0, width = NAMES + BARS + TIMES, height = HEAD + rows * ROW + FOOT;
	double ms = n > 1 ? (double)(events[n - 1].ns - events[0].ns) / 1e6 : 0;
	size_t len;
	char *text = NULL;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f,
	        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
	        "font-family=\"sans-serif\" font-size=\"12\">\n"
	        "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
	        "<text x=\"12\" y=\"24\" font-size=\"15\" font-weight=\"bold\" fill=\"#1f2328\">",
	        width, height, width, height);
	print_text(f, title);
	if (rows)
		fprintf(f, " (%.*f ms)", ms < 10 ? 2 : 0, ms);
	fputs("</text>\n", f);
	if (ms > 0)
		print_axis(f, ms, height);
	for (size_t i = 1; i < n; i++)
		print_bar(f, events, i, ms > 0 ? ms : 1);
	fputs("</svg>\n", f);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}
