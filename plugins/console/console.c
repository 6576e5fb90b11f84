/* SPDX-License-Identifier: MIT */
/*
 * console.c - virtio console device (virtio 1.2, 5.3): one port, no multiport, window size.
 *
 * Called by capsa; owns the instance. Input waits for the guest's buffers (console-input.c), output for the backend
 * (console-output.c): memory is bounded in both directions and no byte is lost or reordered.
 */
#include "console.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_ids.h>

#include "backend.h"

#define LAST_WORDS_MS 200 /* at the end, for a slow reader */
#define LIMIT_MIN 4096u   /* bytes: with less than that a file would hardly be opened before it is full */

enum { KEY_BACKEND, KEY_PATH, KEY_ESCAPE, KEY_APPEND, KEY_LIMIT, KEY_COLS, KEY_ROWS };

static const char *const backend_names[] = { "stdio", "pty", "socket", "file", NULL };
static const struct backend_ops *const backends[] = { &backend_stdio, &backend_pty, &backend_socket, &backend_file };

static const struct capsa_key keys[] = {
	[KEY_BACKEND] = { .name = "backend",
	                  .type = CAPSA_TYPE_CHOICE,
	                  .default_text = "stdio",
	                  .choices = backend_names,
	                  .help = "where the console is: this terminal, a new pseudo-terminal, a UNIX socket, a file" },
	[KEY_PATH] = { .name = "path",
	               .type = CAPSA_TYPE_PATH,
	               .help = "file: where to write; socket: its path (default: where `capsa console NAME` looks); "
	                       "pty: a symbolic link to make" },
	[KEY_ESCAPE] = { .name = "escape",
	                 .type = CAPSA_TYPE_STRING,
	                 .default_text = "^]",
	                 .help = "stdio: the key that, followed by q, powers the machine off; a character, ^X, or "
	                         "none" },
	[KEY_APPEND] = { .name = "append",
	                 .type = CAPSA_TYPE_BOOL,
	                 .default_text = "false",
	                 .help = "file: keep what is there and write behind it" },
	[KEY_LIMIT] = { .name = "limit",
	                .type = CAPSA_TYPE_SIZE,
	                .default_text = "0",
	                .max = INT64_C(1) << 40,
	                .help = "file: begin a new one when it has so many bytes, and keep that one as PATH.1; at "
	                        "least 4K, or 0: no limit" },
	[KEY_COLS] = { .name = "cols",
	               .type = CAPSA_TYPE_INT,
	               .default_text = "80",
	               .min = 1,
	               .max = UINT16_MAX,
	               .help = "width in characters where the other side has none" },
	[KEY_ROWS] = { .name = "rows",
	               .type = CAPSA_TYPE_INT,
	               .default_text = "24",
	               .min = 1,
	               .max = UINT16_MAX,
	               .help = "height in characters where the other side has none" },
	{ .name = NULL },
};

static void *create(const struct capsa_host *host, struct capsa_device *dev)
{
	struct console *c = calloc(1, sizeof *c);

	if (!c) {
		host->error(dev, "out of memory");
		return NULL;
	}
	c->host = host;
	c->dev = dev;
	return c;
}

static int config(void *self, const struct capsa_value *values, size_t n_values)
{
	struct console *c = self;
	struct console_options *o = &c->options;

	(void)n_values;
	c->ops = backends[values[KEY_BACKEND].integer];
	o->path = values[KEY_PATH].type == CAPSA_TYPE_NONE ? NULL : values[KEY_PATH].string;
	o->append = values[KEY_APPEND].boolean;
	o->limit = (uint64_t)values[KEY_LIMIT].integer;
	o->cols = (unsigned)values[KEY_COLS].integer;
	o->rows = (unsigned)values[KEY_ROWS].integer;
	o->escape = escape_parse(values[KEY_ESCAPE].string);
	if (o->escape < -1) {
		c->host->error(c->dev, "key \"escape\": found \"%.40s\", allowed are a character, ^A to ^_, or none",
		               values[KEY_ESCAPE].string);
		return -1;
	}
	if (c->ops == &backend_file && !o->path) {
		c->host->error(c->dev, "backend \"file\" needs the key \"path\": the file to write to");
		return -1;
	}
	if (o->limit && c->ops != &backend_file) {
		c->host->error(c->dev, "backend \"%s\" takes no \"limit\"; did you mean backend = \"file\"?",
		               c->ops->name);
		return -1;
	}
	if (o->limit && o->limit < LIMIT_MIN) {
		c->host->error(c->dev, "key \"limit\": found %u, allowed are 4K and more, or 0", (unsigned)o->limit);
		return -1;
	}
	if (c->ops == &backend_stdio && o->path) {
		c->host->error(c->dev, "backend \"stdio\" takes no \"path\"; did you mean backend = \"file\"?");
		return -1;
	}
	return 0;
}

static int count(struct console *c)
{
	c->rx_bytes = c->host->counter(c->dev, "rx_bytes", "bytes of input given to the guest");
	c->tx_bytes = c->host->counter(c->dev, "tx_bytes", "bytes of output taken from the guest");
	c->dropped_bytes =
		c->host->counter(c->dev, "dropped_bytes", "bytes of output thrown away: nobody to take them");
	return c->rx_bytes && c->tx_bytes && c->dropped_bytes ? 0 : -1;
}

static int realize(void *self, struct capsa_setup *setup)
{
	struct console *c = self;
	struct virtio_console_config space = { .max_nr_ports = htole32(1) };

	setup->features = UINT64_C(1) << VIRTIO_CONSOLE_F_SIZE;
	setup->n_queues = 2;
	setup->queues[CONSOLE_RX].size = CONSOLE_QUEUE_SIZE;
	setup->queues[CONSOLE_RX].silent = true;
	setup->queues[CONSOLE_TX].size = CONSOLE_QUEUE_SIZE;
	setup->queues[CONSOLE_TX].max_segments = CONSOLE_QUEUE_SIZE;
	setup->config_size = sizeof space;
	if (count(c) < 0 || c->host->config_set(c->dev, 0, &space, sizeof space, false) < 0) {
		c->host->error(c->dev, "out of memory");
		return -1;
	}
	console_window(c, 0, 0, false);
	return c->ops->realize(c);
}

static void on_pull(void *ctx)
{
	struct console *c = ctx;

	if (c->ops->pull)
		c->ops->pull(c);
}

static int start(void *self)
{
	struct console *c = self;

	c->pull = c->host->deferred_add(c->dev, on_pull, c);
	if (!c->pull || input_start(c) < 0) {
		c->host->error(c->dev, "out of memory");
		return -1;
	}
	return c->ops->start(c);
}

static void set_window(struct console *c, bool tell)
{
	struct virtio_console_config space = {
		.cols = htole16((uint16_t)c->cols),
		.rows = htole16((uint16_t)c->rows),
	};

	c->host->config_set(c->dev, 0, &space, offsetof(struct virtio_console_config, max_nr_ports), tell);
}

static int activate(void *self, uint64_t features)
{
	struct console *c = self;

	c->active = true;
	/* Linux looks at the size when it is told that it has changed, and not before. */
	if (features & UINT64_C(1) << VIRTIO_CONSOLE_F_SIZE)
		set_window(c, true);
	input_activate(c);
	console_pull(c);
	return 0;
}

static void queue_notify(void *self, unsigned queue)
{
	struct console *c = self;

	if (queue == CONSOLE_TX) {
		input_guest_speaks(c);
		output_pump(c);
	} else {
		on_pull(c);
	}
}

static void reset(void *self)
{
	struct console *c = self;

	c->active = false;
	input_reset(c);
	output_reset(c);
}

static void stop(void *self)
{
	struct console *c = self;

	output_finish(c, LAST_WORDS_MS);
	c->ops->stop(c);
	input_stop(c);
	c->host->deferred_remove(c->pull);
	c->pull = NULL;
}

static void destroy(void *self)
{
	struct console *c = self;

	if (c->backend)
		c->ops->destroy(c);
	free(c->output.carry);
	free(c);
}

/* ---- for backends ---- */

void console_pull(struct console *c)
{
	if (c->pull && c->ops->pull)
		c->host->deferred_run(c->pull);
}

void console_window(struct console *c, unsigned cols, unsigned rows, bool tell)
{
	/* Serial lines and scripts know no size. */
	if (!cols || !rows) {
		cols = c->options.cols;
		rows = c->options.rows;
	}
	if (cols == c->cols && rows == c->rows)
		return;
	c->cols = cols;
	c->rows = rows;
	set_window(c, tell);
}

void console_count_dropped(struct console *c, uint64_t bytes)
{
	__atomic_fetch_add(c->dropped_bytes, bytes, __ATOMIC_RELAXED);
}

static const struct capsa_plugin plugin = {
	CAPSA_PLUGIN_HEADER,
	.name = "console",
	.version = "0.1.0",
	.description = "console of the guest (hvc0) on a terminal, pseudo-terminal, UNIX socket or file",
	.virtio_device_id = VIRTIO_ID_CONSOLE,
	.thread_model = CAPSA_THREAD_REACTOR,
	.needs = CAPSA_NEEDS_FILES, /* files that follow a full one */
	.keys = keys,
	.create = create,
	.config = config,
	.realize = realize,
	.start = start,
	.activate = activate,
	.queue_notify = queue_notify,
	.reset = reset,
	.stop = stop,
	.destroy = destroy,
};

const struct capsa_plugin *capsa_plugin_entry(void)
{
	return &plugin;
}
