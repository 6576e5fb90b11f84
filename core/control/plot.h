/* SPDX-License-Identifier: MIT */
/* plot.h - a timeline as a picture: SVG that stands alone. A pure function. */
#ifndef CAPSA_CONTROL_PLOT_H
#define CAPSA_CONTROL_PLOT_H

#include "core/base/timeline.h"

/*
 * A bar for each mark but the first, from the mark before to it, over an axis in milliseconds since the first one.
 * events: as from timeline_read(). `title` and names may have any characters. The caller frees. NULL: no memory.
 */
char *plot_svg(const char *title, const struct timeline_event *events, size_t n);

#endif
