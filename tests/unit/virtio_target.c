/* SPDX-License-Identifier: MIT */
/* virtio_target.c - see virtio_target.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/virtio_target.h"

/* How much of a request is copied: what a hostile one claims is bounded by guest memory alone. */
#define ECHO_BYTES 4096u

static void echo(struct target *target, struct capsa_request *request)
{
	unsigned char bytes[ECHO_BYTES];
	size_t n = virtio_request_read(request, 0, bytes, sizeof bytes);

	virtio_queue_complete(target->device, request, virtio_request_write(request, 0, bytes, n));
}

void target_drain(struct target *target, unsigned queue)
{
	struct capsa_request *request;

	while (target->mode != TARGET_IGNORE && (request = virtio_queue_pop(target->device, queue))) {
		target->popped++;
		target->last_readable = request->readable_bytes;
		target->last_writable = request->writable_bytes;
		target->n_last_readable = request->n_readable;
		target->n_last_writable = request->n_writable;
		assert_null(request->user);
		assert_int_equal(request->queue, queue);
		if (target->mode == TARGET_HOLD) {
			assert_true(target->n_held < CAPSA_MAX_QUEUE_SIZE);
			target->held[target->n_held++] = request;
		} else {
			echo(target, request);
		}
	}
}

static int target_activate(void *ctx, uint64_t features)
{
	struct target *target = ctx;

	target->activations++;
	target->features = features;
	return target->activate_result;
}

static void target_notify(void *ctx, unsigned queue)
{
	struct target *target = ctx;

	target->notifies[queue]++;
	target_drain(target, queue);
}

static void target_config_written(void *ctx, size_t offset, const void *data, size_t len)
{
	struct target *target = ctx;

	target->config_writes++;
	target->config_offset = offset;
	target->config_len = len;
	target->config_data = 0;
	memcpy(&target->config_data, data, len);
}

static void target_reset(void *ctx)
{
	struct target *target = ctx;

	target->resets++;
	/* Workers of a device may be at them still. */
	for (unsigned i = 0; i < target->n_held; i++)
		for (unsigned n = 0; n < target->held[i]->n_writable; n++)
			target->last_at_reset += target->held[i]->writable[n].iov_len;
	target->n_held = 0;
}

static const struct virtio_ops target_ops = {
	.activate = target_activate,
	.queue_notify = target_notify,
	.config_written = target_config_written,
	.reset = target_reset,
};

struct capsa_setup target_shape(void)
{
	return (struct capsa_setup){
		.features = 1ull << TARGET_FEATURE,
		.n_queues = 2,
		.queues = { { .size = 16 }, { .size = 16, .silent = true } },
		.config_size = 12,
	};
}

void target_add(struct target *target, struct board *board, const struct capsa_setup *shape)
{
	static const unsigned char config[CAPSA_MAX_CONFIG_SPACE] = "configuration";
	static unsigned char window[1]; /* a board maps nothing */
	void *windows[CAPSA_MAX_SHARED_MEMORY] = { window, window, window };
	const struct virtio_setup setup = {
		.name = "target0",
		.device_id = 42,
		.shape = shape,
		.config = config,
		.shared_memory = windows,
		.home = board->home,
		.ops = &target_ops,
		.ctx = target,
	};
	struct error err = { .text = "" };

	*target = (struct target){ .mode = TARGET_ECHO };
	assert_int_equal(virtio_device_create(&board->platform, &setup, &target->device, &err), 0);
}

void target_remove(struct target *target)
{
	virtio_device_destroy(target->device);
	target->device = NULL;
}
