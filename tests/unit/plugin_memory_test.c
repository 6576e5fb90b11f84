/* SPDX-License-Identifier: MIT */
/*
 * plugin_memory_test.c - an instance's windows of shared memory: what may be mapped there, and files that are truncated
 * under them.
 */
#include "tests/unit/plugin_settle.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "core/base/page-guard.h"

#define RW (PROT_READ | PROT_WRITE)

static void map_too_early(const char *callback)
{
	if (strcmp(callback, "realize") == 0)
		assert_int_equal(probe.host->shared_memory_unmap(probe.dev, 7, 0, 4096), -EINVAL);
}

static void windows_are_mapped_within_their_bounds(void **state)
{
	const uint64_t size = 2 << 20;
	struct plugin_device *d;
	unsigned char *window, last;
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 16384), 0);
	assert_int_equal(pwrite(fd, "file", 4, 4096), 4);
	probe.setup.n_shared_memory = 1;
	probe.setup.shared_memory[0].id = 7;
	probe.setup.shared_memory[0].size = size;
	probe.hook = map_too_early;
	d = fake_walk("attach");
	window = fake_virtio->setup.shared_memory[0];
#define MAP(id, offset, len, prot, flags, fd, at) \
	probe.host->shared_memory_map(probe.dev, id, offset, len, prot, flags, fd, at)
	assert_int_equal(window[0], 0);
	assert_int_equal(MAP(7, size - 4096, 4096, RW, MAP_SHARED, fd, 4096), 0);
	assert_memory_equal(window + size - 4096, "file", 4);
	window[size - 1] = 'x';
	assert_int_equal(pread(fd, &last, 1, 8191), 1);
	assert_int_equal(last, 'x');
	assert_int_equal(MAP(6, 0, 4096, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, size - 4096, 8192, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, size, 4096, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 4096, UINT64_MAX & ~4095ull, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, UINT64_MAX & ~4095ull, 8192, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 0, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 1, 4096, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4097, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, RW, MAP_SHARED, fd, 1), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, RW, MAP_SHARED, fd, UINT64_MAX & ~4095ull), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, RW, MAP_SHARED | MAP_LOCKED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, RW | PROT_GROWSDOWN, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, RW, MAP_SHARED, -1, 0), -EBADF);
	/* The guest could stop its own machine by touching it. */
	assert_int_equal(MAP(7, 0, 4096, PROT_READ, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, PROT_WRITE, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, PROT_NONE, MAP_PRIVATE, fd, 0), -EINVAL);
	assert_int_equal(probe.host->shared_memory_unmap(probe.dev, 7, 0, size + 4096), -EINVAL);
	assert_int_equal(probe.host->shared_memory_unmap(probe.dev, 7, size - 4096, 4096), 0);
	assert_int_equal(window[size - 1], 0);
#undef MAP
	close(fd);
	fake_end(d);
}

/* ---- files that are truncated under a window ---- */

#define WINDOW (4u << 20)
#define WINDOW_FILE_AT 8192u
#define WINDOW_FILE_SIZE (1u << 20)

static unsigned char *cut_window;
static pthread_t fault_thread;

static void stop_at_fault(const char *callback)
{
	if (strcmp(callback, "shared_memory_fault") != 0)
		return;
	fault_thread = pthread_self();
	reactor_stop(fake_main);
}

/* A device with a file in its window that is cut off after its first page. */
static struct plugin_device *walk_with_cut_window(const char *to, int *fd)
{
	struct plugin_device *d;

	*fd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(*fd, WINDOW_FILE_SIZE), 0);
	assert_int_equal(pwrite(*fd, "file", 4, 0), 4);
	probe.setup.n_shared_memory = 1;
	probe.setup.shared_memory[0].id = 7;
	probe.setup.shared_memory[0].size = WINDOW;
	d = fake_walk(to);
	assert_int_equal(
		probe.host->shared_memory_map(probe.dev, 7, WINDOW_FILE_AT, WINDOW_FILE_SIZE, RW, MAP_SHARED, *fd, 0),
		0);
	cut_window = fake_virtio->setup.shared_memory[0];
	assert_int_equal(ftruncate(*fd, 100), 0);
	/* cmocka takes the signal for each test. */
	page_guard_to_front();
	return d;
}

static void *read_cut_window(void *ctx)
{
	const volatile unsigned char *window = cut_window;
	unsigned sum = 0;

	for (size_t at = WINDOW_FILE_AT + 4096; at < WINDOW_FILE_AT + WINDOW_FILE_SIZE; at += 4096)
		sum += window[at];
	return sum == 0 ? ctx : NULL;
}

static uint64_t counted;

static void take_fault_counter(void *ctx, const char *name, const char *help, uint64_t value)
{
	(void)ctx, (void)help;
	if (strcmp(name, "shared_memory_fault_pages") == 0)
		counted = value;
}

static void a_truncated_file_reads_as_zeros_and_the_plugin_is_told(void **state)
{
	struct plugin_device *d;
	pthread_t threads[4];
	void *answer;
	int fd;

	(void)state;
	probe.hook = stop_at_fault;
	d = walk_with_cut_window("attach", &fd);
	settle();
	assert_int_equal(probe_fault.n, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_cut_window, &fd), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &answer);
		assert_ptr_equal(answer, &fd);
	}
	reactor_run(fake_main);
	settle();
	assert_true(pthread_equal(fault_thread, pthread_self()));
	assert_int_equal(probe_fault.n, 1);
	assert_int_equal(probe_fault.id, 7);
	assert_int_equal(probe_fault.offset, WINDOW_FILE_AT + 4096);
	assert_int_equal(probe_fault.len, WINDOW_FILE_SIZE - 4096);
	plugin_device_counters(d, take_fault_counter, NULL);
	assert_int_equal(counted, WINDOW_FILE_SIZE / 4096 - 1);
	assert_memory_equal(cut_window + WINDOW_FILE_AT, "file", 4);

	/* What the plugin does once the file has grown again. */
	assert_int_equal(ftruncate(fd, WINDOW_FILE_SIZE), 0);
	assert_int_equal(pwrite(fd, "more", 4, 4096), 4);
	assert_int_equal(
		probe.host->shared_memory_map(probe.dev, 7, WINDOW_FILE_AT, WINDOW_FILE_SIZE, RW, MAP_SHARED, fd, 0),
		0);
	assert_memory_equal(cut_window + WINDOW_FILE_AT + 4096, "more", 4);
	settle();
	assert_int_equal(probe_fault.n, 1);
	close(fd);
	fake_end(d);
}

/* Many a fault, in one line; to a plugin that does not want to know. */
static void faults_are_logged_once(void **state)
{
	struct plugin_device *d;
	int fd, ends[2], saved = dup(STDERR_FILENO);
	char line[512] = "";

	(void)state;
	fake_plugin.info.shared_memory_fault = NULL;
	d = walk_with_cut_window("attach", &fd);
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(read_cut_window(&fd), &fd);
		settle();
		assert_int_equal(probe.host->shared_memory_map(probe.dev, 7, WINDOW_FILE_AT, WINDOW_FILE_SIZE, RW,
		                                               MAP_SHARED, fd, 0),
		                 0);
	}
	dup2(saved, STDERR_FILENO);
	assert_true(read(ends[0], line, sizeof line - 1) > 0);
	assert_string_equal(line,
	                    "capsa: warning: probe0: a file in its shared memory is shorter than it was, or cannot be "
	                    "read or written; the guest has zeros there\n");
	close(saved);
	close(ends[0]);
	close(ends[1]);
	close(fd);
	fake_end(d);
}

static void more_faults_than_a_turn_takes_are_told_in_the_next(void **state)
{
	struct plugin_device *d;
	int fd;

	(void)state;
	d = walk_with_cut_window("attach", &fd);
	/* Every other page alone: 128 runs. */
	assert_int_equal(ftruncate(fd, WINDOW_FILE_SIZE), 0);
	for (size_t page = 0; page < 256; page++)
		assert_int_equal(probe.host->shared_memory_map(probe.dev, 7, page * 4096, 4096, RW, MAP_SHARED, fd,
		                                               page % 2 ? WINDOW_FILE_SIZE - 4096 : 0),
		                 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	for (size_t page = 1; page < 256; page += 2)
		assert_int_equal(((const volatile unsigned char *)cut_window)[page * 4096], 0);
	settle();
	assert_int_equal(probe_fault.n, 128);
	assert_int_equal(probe_fault.offset, 255 * 4096);
	close(fd);
	fake_end(d);
}

static void nobody_is_told_of_faults_after_stop(void **state)
{
	struct plugin_device *d;
	int fd;

	(void)state;
	d = walk_with_cut_window("attach", &fd);
	assert_ptr_equal(read_cut_window(&fd), &fd);
	plugin_device_detach(d);
	plugin_device_stop(d);
	assert_ptr_equal(read_cut_window(&fd), &fd);
	settle();
	assert_int_equal(probe_fault.n, 0);
	close(fd);
	fake_end(d);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		TEST(windows_are_mapped_within_their_bounds),
		TEST(a_truncated_file_reads_as_zeros_and_the_plugin_is_told),
		TEST(faults_are_logged_once),
		TEST(more_faults_than_a_turn_takes_are_told_in_the_next),
		TEST(nobody_is_told_of_faults_after_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
