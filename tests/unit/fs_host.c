/* SPDX-License-Identifier: MIT */
/* fs_host.c - queues, loops and workers of the host that the plugin runs on in a test; see fs_host.h. */
#include "tests/unit/fs_host.h"

static _Thread_local unsigned my_queue; /* 0: home */

void fs_host_be_loop(unsigned queue)
{
	my_queue = queue;
}

unsigned fs_host_my_queue(void)
{
	return my_queue;
}

/* ---- loops and workers ---- */

/* Runs one queued job. Lock held before and after. */
static void run_job(struct fs_host *host)
{
	struct job *job = STAILQ_FIRST(&host->jobs);

	STAILQ_REMOVE_HEAD(&host->jobs, link);
	pthread_mutex_unlock(&host->lock);
	job->work(job->ctx);
	pthread_mutex_lock(&host->lock);
	STAILQ_INSERT_TAIL(&host->finished, job, link);
	pthread_cond_broadcast(&host->change);
}

void *fs_host_worker(void *ctx)
{
	struct fs_host *host = ctx;

	pthread_mutex_lock(&host->lock);
	while (!host->ending || !STAILQ_EMPTY(&host->jobs)) {
		if (!STAILQ_EMPTY(&host->jobs) && (!host->client->inline_jobs || host->ending))
			run_job(host);
		else
			pthread_cond_wait(&host->change, &host->lock);
	}
	pthread_mutex_unlock(&host->lock);
	return NULL;
}

static bool is_mine(const struct fs_host *host, unsigned queue)
{
	return my_queue ? queue == my_queue : !host->owned[queue];
}

bool fs_host_step(struct fs_host *host)
{
	struct capsa_deferred *deferred;
	struct job *job;

	for (unsigned queue = 0; queue < FS_HOST_QUEUES; queue++)
		if (host->again[queue] && is_mine(host, queue)) {
			host->again[queue] = false;
			pthread_mutex_unlock(&host->lock);
			host->plugin->queue_notify(host->self, queue);
			pthread_mutex_lock(&host->lock);
			return true;
		}
	LIST_FOREACH(deferred, &host->deferreds, link)
	if (deferred->asked && is_mine(host, deferred->queue)) {
		deferred->asked = false;
		pthread_mutex_unlock(&host->lock);
		deferred->call(deferred->ctx);
		pthread_mutex_lock(&host->lock);
		return true;
	}
	if (my_queue)
		return false;
	job = STAILQ_FIRST(&host->finished);
	if (job) {
		STAILQ_REMOVE_HEAD(&host->finished, link);
		pthread_mutex_unlock(&host->lock);
		if (job->done)
			job->done(job->ctx);
		free(job);
		pthread_mutex_lock(&host->lock);
		host->n_jobs--;
		return true;
	}
	if (!host->client->inline_jobs || STAILQ_EMPTY(&host->jobs))
		return false;
	run_job(host);
	return true;
}

/* ---- requests ---- */

/* Copies n buffers to memory of their own. */
static struct iovec *own_buffers(const struct iovec *from, unsigned n, size_t *bytes)
{
	struct iovec *iov = calloc(n ? n : 1, sizeof *iov);

	assert_non_null(iov);
	*bytes = 0;
	for (unsigned i = 0; i < n; i++) {
		iov[i].iov_len = from[i].iov_len;
		iov[i].iov_base = malloc(from[i].iov_len);
		assert_true(iov[i].iov_base || !from[i].iov_len);
		if (from[i].iov_base && from[i].iov_len)
			memcpy(iov[i].iov_base, from[i].iov_base, from[i].iov_len);
		*bytes += from[i].iov_len;
	}
	return iov;
}

struct fs_request *fs_host_offer(struct fs_host *host, unsigned queue, const struct iovec *readable,
                                 unsigned n_readable, const struct iovec *writable, unsigned n_writable)
{
	struct fs_request *request = calloc(1, sizeof *request);

	assert_non_null(request);
	assert_true(host->active && queue < host->client->setup.n_queues);
	request->readable = own_buffers(readable, n_readable, &request->request.readable_bytes);
	request->writable = own_buffers(writable, n_writable, &request->request.writable_bytes);
	request->request.readable = request->readable;
	request->request.n_readable = n_readable;
	request->request.writable = request->writable;
	request->request.n_writable = n_writable;
	request->request.queue = (uint16_t)queue;
	pthread_mutex_lock(&host->lock);
	LIST_INSERT_HEAD(&host->all, request, all);
	STAILQ_INSERT_TAIL(&host->offered[queue], request, link);
	host->again[queue] = true;
	pthread_mutex_unlock(&host->lock);
	return request;
}

void fs_host_wait(struct fs_host *host, struct fs_request *request)
{
	pthread_mutex_lock(&host->lock);
	while (!request->done)
		if (!fs_host_step(host))
			pthread_cond_wait(&host->change, &host->lock);
	pthread_mutex_unlock(&host->lock);
}

void fs_host_free(struct fs_host *host, struct fs_request *request)
{
	pthread_mutex_lock(&host->lock);
	LIST_REMOVE(request, all);
	pthread_mutex_unlock(&host->lock);
	for (unsigned i = 0; i < request->request.n_readable; i++)
		free(request->readable[i].iov_base);
	for (unsigned i = 0; i < request->request.n_writable; i++)
		free(request->writable[i].iov_base);
	free(request->readable);
	free(request->writable);
	free(request);
}
