/* SPDX-License-Identifier: MIT */
/* vcpu_test.c - a vCPU's thread over a KVM that is played: it leaves the guest, stands still and goes on as it is told.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/machine/vcpu.h"

enum { RUN_SIZE = 4096, VM_FD = 1000, KVM_FD = 1001 };

/* ---- KVM ---- */

static struct kvm_run *run_page;
static atomic_bool in_guest;
static atomic_uint clock_told, runs;
static atomic_bool triple_fault;
static atomic_bool bad_page; /* KVM_RUN says EFAULT while it is there */

/* In the guest until it is kicked, or until it faults. */
static int run_guest(void)
{
	atomic_fetch_add(&runs, 1);
	if (__atomic_load_n(&run_page->immediate_exit, __ATOMIC_ACQUIRE)) {
		errno = EINTR;
		return -1;
	}
	if (atomic_load(&bad_page)) {
		errno = EFAULT;
		return -1;
	}
	atomic_store(&in_guest, true);
	while (!__atomic_load_n(&run_page->immediate_exit, __ATOMIC_ACQUIRE) && !atomic_load(&triple_fault))
		sched_yield();
	atomic_store(&in_guest, false);
	if (atomic_load(&triple_fault)) {
		run_page->exit_reason = KVM_EXIT_SHUTDOWN;
		return 0;
	}
	errno = EINTR;
	return -1;
}

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	switch (request) {
	case KVM_CREATE_VCPU: {
		int page = memfd_create("vcpu", MFD_CLOEXEC);

		assert_true(page >= 0);
		assert_int_equal(ftruncate(page, RUN_SIZE), 0);
		run_page = mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
		assert_ptr_not_equal(run_page, MAP_FAILED);
		return page;
	}
	case KVM_GET_VCPU_MMAP_SIZE:
		return RUN_SIZE;
	case KVM_SET_CPUID2:
		return 0;
	case KVM_SET_MSRS:
		return 2;
	case KVM_KVMCLOCK_CTRL:
		atomic_fetch_add(&clock_told, 1);
		return 0;
	case KVM_RUN:
		return run_guest();
	default:
		errno = ENOTTY;
		return -1;
	}
}

/* ---- the machine ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned entered, paused, ended;
} news = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0 };

static void tell(unsigned *what)
{
	pthread_mutex_lock(&news.lock);
	++*what;
	pthread_cond_broadcast(&news.changed);
	pthread_mutex_unlock(&news.lock);
}

/* Until there were `n` of them; there are no more. */
static void wait_for(const unsigned *what, unsigned n)
{
	pthread_mutex_lock(&news.lock);
	while (*what < n)
		pthread_cond_wait(&news.changed, &news.lock);
	assert_int_equal(*what, n);
	pthread_mutex_unlock(&news.lock);
}

static void entered(void *ctx)
{
	(void)ctx;
	tell(&news.entered);
}

static void paused(void *ctx)
{
	(void)ctx;
	tell(&news.paused);
}

static enum machine_end the_end;
static char end_text[100];

static void ended(void *ctx, enum machine_end end, const char *text)
{
	(void)ctx;
	the_end = end;
	snprintf(end_text, sizeof end_text, "%s", text ? text : "");
	tell(&news.ended);
}

/* What fault() answers, one letter a call: Found (and the page is good), More, None; the last for ever. */
static const char *answers;
static atomic_uint faults;

static enum page_guard_found fault(void *ctx, const struct kvm_run *run, struct page_guard_search *search)
{
	unsigned n = atomic_fetch_add(&faults, 1), last = (unsigned)strlen(answers) - 1;

	(void)ctx;
	assert_ptr_not_equal(run, NULL);
	assert_int_equal(search->piece, n); /* it is kept from call to call */
	search->piece++;
	switch (answers[n < last ? n : last]) {
	case 'F':
		atomic_store(&bad_page, false);
		return PAGE_GUARD_FOUND;
	case 'M':
		return PAGE_GUARD_MORE;
	default:
		return PAGE_GUARD_NONE;
	}
}

static struct vcpu *vcpu;

static int setup_with(const char *fault_answers)
{
	static const struct kvm_cpuid2 cpuid = { 0 };
	const struct vcpu_setup setup = {
		.cpus = 1,
		.kvm_fd = KVM_FD,
		.vm_fd = VM_FD,
		.cpuid = &cpuid,
		.ended = ended,
		.entered = entered,
		.paused = paused,
		.fault = fault_answers ? fault : NULL,
	};
	struct error err;

	answers = fault_answers;
	atomic_store(&faults, 0);
	news.entered = news.paused = news.ended = 0;
	atomic_store(&triple_fault, false);
	atomic_store(&clock_told, 0);
	atomic_store(&runs, 0);
	return vcpu_create(&setup, &vcpu, &err) || vcpu_start(vcpu, &err) ? -1 : 0;
}

static int setup(void **state)
{
	(void)state;
	atomic_store(&bad_page, false);
	return setup_with(NULL);
}

static int teardown(void **state)
{
	(void)state;
	vcpu_kick(vcpu);
	vcpu_destroy(vcpu);
	munmap(run_page, RUN_SIZE);
	return 0;
}

static void wait_until_in_guest(void)
{
	while (!atomic_load(&in_guest))
		sched_yield();
}

/* ---- tests ---- */

static void a_paused_vcpu_is_outside_of_the_guest(void **state)
{
	unsigned before;

	(void)state;
	wait_for(&news.entered, 1);
	wait_until_in_guest();
	vcpu_pause(vcpu);
	wait_for(&news.paused, 1);
	assert_false(atomic_load(&in_guest));
	before = atomic_load(&runs);
	assert_int_equal(atomic_load(&clock_told), 0);
	vcpu_resume(vcpu);
	wait_until_in_guest();
	assert_int_equal(atomic_load(&runs), before + 1);
	assert_int_equal(atomic_load(&clock_told), 1);
	assert_true(vcpu_exits(vcpu, VCPU_EXIT_SIGNAL) >= 1);
}

/* A pause right behind a resume may find the thread still on its way back. */
static void each_of_many_pauses_is_told_once(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 20000; i++) {
		vcpu_pause(vcpu);
		wait_for(&news.paused, i);
		assert_false(atomic_load(&in_guest));
		vcpu_resume(vcpu);
	}
	wait_until_in_guest();
	wait_for(&news.paused, 20000);
}

static void a_paused_vcpu_can_be_ended(void **state)
{
	(void)state;
	vcpu_pause(vcpu);
	wait_for(&news.paused, 1);
	vcpu_kick(vcpu);
	vcpu_join(vcpu);
	assert_int_equal(atomic_load(&clock_told), 0);
	/* It stands still for good. */
	vcpu_pause(vcpu);
	wait_for(&news.paused, 2);
	vcpu_resume(vcpu);
}

static void one_that_is_being_paused_can_be_ended(void **state)
{
	(void)state;
	vcpu_pause(vcpu);
	vcpu_kick(vcpu);
	wait_for(&news.paused, 1);
	vcpu_join(vcpu);
	wait_for(&news.paused, 1);
}

static void one_that_has_ended_the_machine_counts_as_paused(void **state)
{
	(void)state;
	atomic_store(&triple_fault, true);
	wait_for(&news.ended, 1);
	assert_int_equal(the_end, MACHINE_RESET);
	vcpu_pause(vcpu);
	wait_for(&news.paused, 1);
	vcpu_resume(vcpu);
}

/* ---- pages with nothing behind them ---- */

static void begin_with_bad_page(const char *fault_answers)
{
	atomic_store(&bad_page, true);
	assert_int_equal(setup_with(fault_answers), 0);
}

static void a_page_that_is_mended_lets_the_guest_go_on(void **state)
{
	(void)state;
	begin_with_bad_page("MMMMF");
	wait_until_in_guest();
	assert_int_equal(atomic_load(&faults), 5);
	assert_int_equal(news.ended, 0);
	assert_true(vcpu_exits(vcpu, VCPU_EXIT_OTHER) >= 5);
}

/* The first search may come too late, where another vCPU has mended the page. */
static void nothing_to_be_mended_three_times_in_a_row_is_the_end(void **state)
{
	(void)state;
	begin_with_bad_page("NMNMN");
	wait_for(&news.ended, 1);
	assert_int_equal(the_end, MACHINE_FAILED);
	assert_string_equal(end_text, "KVM_RUN of vCPU 0: Bad address");
	assert_int_equal(atomic_load(&faults), 5);
	teardown(NULL);
	begin_with_bad_page("NNF");
	wait_until_in_guest();
	assert_int_equal(news.ended, 0);
}

static void where_nobody_mends_it_is_the_end_at_once(void **state)
{
	(void)state;
	begin_with_bad_page(NULL);
	wait_for(&news.ended, 1);
	assert_int_equal(the_end, MACHINE_FAILED);
	assert_int_equal(atomic_load(&runs), 1);
}

/* A search may be long. */
static void a_vcpu_that_searches_can_be_paused_and_ended(void **state)
{
	(void)state;
	begin_with_bad_page("M");
	while (atomic_load(&faults) < 10)
		sched_yield();
	vcpu_pause(vcpu);
	wait_for(&news.paused, 1);
	vcpu_resume(vcpu);
	vcpu_kick(vcpu);
	vcpu_join(vcpu);
	assert_int_equal(news.ended, 0);
}

#define FAULT_TEST(name) cmocka_unit_test_teardown(name, teardown)
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_paused_vcpu_is_outside_of_the_guest),
		TEST(each_of_many_pauses_is_told_once),
		TEST(a_paused_vcpu_can_be_ended),
		TEST(one_that_is_being_paused_can_be_ended),
		TEST(one_that_has_ended_the_machine_counts_as_paused),
		FAULT_TEST(a_page_that_is_mended_lets_the_guest_go_on),
		FAULT_TEST(nothing_to_be_mended_three_times_in_a_row_is_the_end),
		FAULT_TEST(where_nobody_mends_it_is_the_end_at_once),
		FAULT_TEST(a_vcpu_that_searches_can_be_paused_and_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
